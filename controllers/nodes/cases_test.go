package nodes

import (
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/control/controltest"
)

// heard is the part of a case that says when nodes were heard, from the start on; the table itself listens since "since".
type heard struct {
	Since meta.Duration            `json:"since"`
	Nodes map[string]meta.Duration `json:"nodes"`
}

// Heard implements Liveness.
func (h heard) Heard(node string, _ int64, _ time.Time) (time.Time, bool) {
	at, ok := h.Nodes[node]
	if !ok {
		at = h.Since
	}
	return controltest.Start.Add(time.Duration(at)), ok
}

// Matters implements Liveness.
func (heard) Matters(time.Duration) {}

func TestCases(t *testing.T) {
	controltest.Run(t, func(t *testing.T, c *controltest.Case) control.Controller {
		var h heard
		c.Decode(t, "heard", &h)
		return Controller{Liveness: h}
	})
}

// at is a time after the start.
func at(seconds int) time.Time { return controltest.Start.Add(time.Duration(seconds) * time.Second) }

func TestBeats(t *testing.T) {
	var back []string
	b := NewBeats(at(0), func(n string) { back = append(back, n) })
	if last, ok := b.Heard("n1", 1, at(0)); ok || !last.Equal(at(0)) {
		t.Errorf("a node that was never heard: %v, %t", last, ok)
	}
	b.Matters(6 * time.Second)
	for _, s := range []int{1, 4, 8, 9, 15, 16} { // silent for long enough to matter before 15
		b.Beat("n1", at(s))
		b.Beat("own", at(s))
		b.Beat("own", at(s+2))
	}
	if n := count(back, "n1"); n != 2 {
		t.Errorf("told of %d returns, want the first beat and the one after 6 s", n)
	}
	if last, ok := b.Heard("n1", 1, at(16)); !ok || last != at(16) {
		t.Errorf("last heard %v, %t", last, ok)
	}
	b.Matters(2 * time.Second)
	if last, ok := b.Heard("n1", 1, at(17)); ok || last != at(17) {
		t.Errorf("with new times it was heard %v, %t", last, ok)
	}
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

// A node that joins later than the leader began has its grace from when it is first asked about, and so has one that was
// removed and joins anew under its name.
func TestBeatsMeet(t *testing.T) {
	b := NewBeats(at(0), nil)
	b.Matters(6 * time.Second)
	for s := range 100 {
		b.Beat("own", at(s))
	}
	for i, uid := range []int64{7, 9} {
		if last, ok := b.Heard("n1", uid, at(100+i)); ok || last != at(100+i) {
			t.Errorf("incarnation %d has its grace from %v on", uid, last)
		}
		if last, _ := b.Heard("n1", uid, at(101+i)); last != at(100+i) {
			t.Errorf("incarnation %d, asked about again, has its grace from %v on", uid, last)
		}
	}
}

// A leader that stood still heard nobody, itself neither: it listens anew.
func TestBeatsStoodStill(t *testing.T) {
	b := NewBeats(at(0), nil)
	b.Matters(6 * time.Second)
	b.Heard("n1", 1, at(1))
	b.Beat("n1", at(3))
	for _, s := range []int{5, 8, 11} {
		b.Beat("own", at(s))
	}
	if last, ok := b.Heard("n1", 1, at(12)); !ok || last != at(3) {
		t.Errorf("a node that is silent was last heard %v, %t", last, ok)
	}
	if last, ok := b.Heard("n1", 1, at(40)); ok || last != at(40) {
		t.Errorf("after 28 s of nothing at all a node was last heard %v, %t", last, ok)
	}
}
