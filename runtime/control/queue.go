package control

import (
	"container/heap"
	"sync"
	"time"
)

// item is one unit of work: which controller, which name.
type item struct {
	controller int
	name       string
}

// queue holds each item at most once, at the earliest time asked for; items of equal time leave in the order they came.
// It is a heap: finding what is due next must not depend on how many timers wait. The lock is for those who look on: only the
// engine adds and takes.
type queue struct {
	mu    sync.Mutex
	heap  waiting
	index map[item]*waiter
	seq   int64
}

type waiter struct {
	item
	at  time.Time
	seq int64
	pos int
}

// add schedules an item, or moves it forward if it was scheduled for later.
func (q *queue) add(it item, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.index == nil {
		q.index = map[item]*waiter{}
	}
	w, ok := q.index[it]
	switch {
	case !ok:
		q.seq++
		w = &waiter{item: it, at: at, seq: q.seq}
		q.index[it] = w
		heap.Push(&q.heap, w)
	case at.Before(w.at):
		q.seq++
		w.at, w.seq = at, q.seq
		heap.Fix(&q.heap, w.pos)
	}
}

// pop takes the next item that is due.
func (q *queue) pop(now time.Time) (item, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.heap) == 0 || q.heap[0].at.After(now) {
		return item{}, false
	}
	w := heap.Pop(&q.heap).(*waiter)
	delete(q.index, w.item)
	return w.item, true
}

// next is when the first item is due.
func (q *queue) next() (time.Time, bool) {
	if len(q.heap) == 0 {
		return time.Time{}, false
	}
	return q.heap[0].at, true
}

func (q *queue) len() int { return len(q.heap) }

type waiting []*waiter

func (h waiting) Len() int { return len(h) }
func (h waiting) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].seq < h[j].seq
}
func (h waiting) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}
func (h *waiting) Push(x any) {
	w := x.(*waiter)
	w.pos = len(*h)
	*h = append(*h, w)
}
func (h *waiting) Pop() any {
	old := *h
	w := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return w
}
