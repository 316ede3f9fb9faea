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
func (h heard) Heard(node string) (time.Time, bool) {
	at, ok := h.Nodes[node]
	if !ok {
		at = h.Since
	}
	return controltest.Start.Add(time.Duration(at)), ok
}

// Matters implements Liveness.
func (heard) Matters(time.Duration, time.Time) {}

func TestCases(t *testing.T) {
	controltest.Run(t, func(t *testing.T, c *controltest.Case) control.Controller {
		var h heard
		c.Decode(t, "heard", &h)
		return Controller{Liveness: h}
	})
}

func TestBeats(t *testing.T) {
	var back []string
	b := NewBeats(controltest.Start, func(n string) { back = append(back, n) })
	if at, ok := b.Heard("n1"); ok || !at.Equal(controltest.Start) {
		t.Errorf("a node that was never heard: %v, %t", at, ok)
	}
	b.Matters(6*time.Second, controltest.Start)
	for _, s := range []int{1, 4, 9, 15, 16} { // silent for long enough to matter before 15
		b.Beat("n1", controltest.Start.Add(time.Duration(s)*time.Second))
	}
	if len(back) != 2 {
		t.Errorf("told of %d returns, want the first beat and the one after 6 s", len(back))
	}
	if at, ok := b.Heard("n1"); !ok || at != controltest.Start.Add(16*time.Second) {
		t.Errorf("last heard %v, %t", at, ok)
	}
	b.Matters(2*time.Second, controltest.Start.Add(20*time.Second))
	if at, ok := b.Heard("n1"); ok || at != controltest.Start.Add(20*time.Second) {
		t.Errorf("with new times it was heard %v, %t", at, ok)
	}
}
