package nodes

import (
	"sync"
	"time"
)

// Beats is a Liveness fed by heartbeats. Its zero value is not ready: make one with NewBeats when leadership begins, so that
// every node has one full grace period with each new leader.
type Beats struct {
	// Returned is called for a node that is heard again after it was silent for long enough to matter.
	Returned func(node string)

	mu    sync.Mutex
	since time.Time
	// silence is what matters. Until it is known every beat is told.
	silence time.Duration
	heard   map[string]time.Time
}

// NewBeats returns a table that listens from now on.
func NewBeats(now time.Time, returned func(node string)) *Beats {
	return &Beats{Returned: returned, since: now, heard: map[string]time.Time{}}
}

// Beat notes a sign of life.
func (b *Beats) Beat(node string, now time.Time) {
	b.mu.Lock()
	last, known := b.heard[node]
	b.heard[node] = now
	matters := b.silence
	b.mu.Unlock()
	if b.Returned != nil && (!known || now.Sub(last) >= matters) {
		b.Returned(node)
	}
}

// Heard implements Liveness.
func (b *Beats) Heard(node string) (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t, ok := b.heard[node]; ok {
		return t, true
	}
	return b.since, false
}

// Matters implements Liveness.
func (b *Beats) Matters(silence time.Duration, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.silence != 0 && b.silence != silence {
		b.since = now
		clear(b.heard)
	}
	b.silence = silence
}
