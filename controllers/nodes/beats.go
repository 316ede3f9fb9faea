package nodes

import (
	"sync"
	"time"
)

// Beats is a Liveness fed by heartbeats. Its zero value is not ready: make one with NewBeats when leadership begins, so that
// every node has one full grace period with each new leader. It reads one clock only, its own: what others wrote into the
// store may come from a clock that is wrong by years.
type Beats struct {
	// Returned is called for a node that is heard again after it was silent for long enough to matter.
	Returned func(node string)

	mu sync.Mutex
	// used is when anything last came by. The leader's own node beats, too: a long silence of all is its own absence.
	used time.Time
	// silence is what matters. Until it is known every beat is told.
	silence time.Duration
	heard   map[string]time.Time
	met     map[string]meeting
}

// meeting is when a node was first asked about, in its present incarnation.
type meeting struct {
	uid int64
	at  time.Time
}

// NewBeats returns a table that listens from now on. A node has its grace from when it is first asked about.
func NewBeats(now time.Time, returned func(node string)) *Beats {
	return &Beats{Returned: returned, used: now, heard: map[string]time.Time{}, met: map[string]meeting{}}
}

// Beat notes a sign of life.
func (b *Beats) Beat(node string, now time.Time) {
	b.mu.Lock()
	b.awake(now)
	last, known := b.heard[node]
	b.heard[node] = now
	matters := b.silence
	b.mu.Unlock()
	if b.Returned != nil && (!known || now.Sub(last) >= matters) {
		b.Returned(node)
	}
}

// Heard implements Liveness.
func (b *Beats) Heard(node string, uid int64, now time.Time) (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.awake(now)
	m, ok := b.met[node]
	if !ok || m.uid != uid {
		m = meeting{uid, now}
		b.met[node] = m
	}
	t, heard := b.heard[node]
	if m.at.After(t) {
		t = m.at // it made itself known: a sign of life
	}
	return t, heard
}

// Matters implements Liveness.
func (b *Beats) Matters(silence time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.silence != 0 && b.silence != silence {
		b.anew()
	}
	b.silence = silence
}

// awake listens anew after this process stood still: nodes may have beaten all the while.
func (b *Beats) awake(now time.Time) {
	if b.silence != 0 && now.Sub(b.used) >= b.silence {
		b.anew()
	}
	b.used = now
}

func (b *Beats) anew() {
	clear(b.heard)
	clear(b.met)
}
