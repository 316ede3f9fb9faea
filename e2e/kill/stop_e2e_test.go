//go:build e2e

package kill

import (
	"testing"
	"time"
)

// grace is just under the 10 seconds that a task has to end by default: a task that needs them takes longer.
const grace = 9500 * time.Millisecond

// TestStopOfTheYoung deletes tasks that were hardly started. They must not need their whole grace period: the first process
// of a container does not get a signal that it has not asked for yet.
func TestStopOfTheYoung(t *testing.T) {
	n := newNode(t)
	w := &world{node: n, model: model{now: services{}}}
	for i := range 20 {
		w.model.begin()
		begin := time.Now()
		r := &round{changes: []change{{"web": {replicas: 3, version: i}}, {"web": nil}}, pause: time.Duration(60+10*i) * time.Millisecond}
		if err := w.write(r, make(chan int, 2)); err != nil {
			t.Fatal(err)
		}
		w.settle(t, nil)
		if took := time.Since(begin); t.Failed() || took > grace {
			t.Fatalf("tasks that were deleted after %s were gone after %s", r.pause, took)
		}
	}
}
