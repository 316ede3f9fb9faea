package control

import (
	"testing"
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
