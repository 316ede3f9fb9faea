package control

import "time"

// Backlog is the work that waits for an engine.
type Backlog struct {
	Due    int           // items that could run now
	Later  int           // items that wait for their time
	Oldest time.Duration // for how long the first that is due has been
}

// Backlog may be called from anywhere, also while Run runs.
func (e *Engine) Backlog(now time.Time) Backlog { return e.queue.backlog(now) }

// Seen is the newest snapshot, nil before the first. It may be called from anywhere, also while Run runs.
func (e *Engine) Seen() *Snapshot { return e.seen.Load() }

func (q *queue) backlog(now time.Time) Backlog {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := Backlog{Due: q.heap.due(0, now)}
	b.Later = len(q.heap) - b.Due
	if b.Due > 0 {
		b.Oldest = now.Sub(q.heap[0].at)
	}
	return b
}

// due counts what is due at i and below: nothing below is due earlier.
func (h waiting) due(i int, now time.Time) int {
	if i >= len(h) || h[i].at.After(now) {
		return 0
	}
	return 1 + h.due(2*i+1, now) + h.due(2*i+2, now)
}
