package sim

import (
	"container/heap"
	"time"
)

// timer is something that happens at a time; equal times happen in the order in which they were set.
type timer struct {
	at  time.Time
	seq int
	do  func()
}

type timers struct {
	list timerHeap
	seq  int
}

func (t *timers) set(at time.Time, do func()) {
	t.seq++
	heap.Push(&t.list, timer{at, t.seq, do})
}

// pop takes the next timer up to a time.
func (t *timers) pop(end time.Time) (timer, bool) {
	if len(t.list) == 0 || t.list[0].at.After(end) {
		return timer{}, false
	}
	return heap.Pop(&t.list).(timer), true
}

type timerHeap []timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].seq < h[j].seq
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)   { *h = append(*h, x.(timer)) }
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = timer{}
	*h = old[:len(old)-1]
	return t
}
