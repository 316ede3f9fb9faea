package control

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestBacklog(t *testing.T) {
	now := time.Unix(1000, 0)
	var q queue
	if got := q.backlog(now); got != (Backlog{}) {
		t.Errorf("of nothing: %+v", got)
	}
	for i := range 100 { // 0 to 60 are due, 61 to 99 are not
		q.add(item{0, string(rune('a' + i))}, now.Add(time.Duration(i-60)*time.Second))
	}
	if got, want := q.backlog(now), (Backlog{Due: 61, Later: 39, Oldest: time.Minute}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for range 61 {
		q.pop(now)
	}
	if got, want := q.backlog(now), (Backlog{Later: 39}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Somebody may look on while the engine runs, and sees what it sees.
func TestLookOnWhileItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		e, f, _ := started(t, &runs)
		stop := make(chan struct{})
		var looking sync.WaitGroup
		looking.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Microsecond):
					_ = e.Backlog(time.Now())
					_ = e.Seen()
				}
			}
		})
		for range 20 {
			user(t, f)
			time.Sleep(time.Millisecond)
		}
		close(stop)
		looking.Wait()
		synctest.Wait()
		if s := e.Seen(); s == nil || s != e.Snapshot() {
			t.Error("it sees something else")
		}
		if b := e.Backlog(time.Now()); b.Due != 0 {
			t.Errorf("%+v is left", b)
		}
	})
}
