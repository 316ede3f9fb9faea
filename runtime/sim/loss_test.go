package sim

import (
	"slices"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// Each service says for itself how long its tasks wait for a node that is down, or that they do so for ever.
func TestNodeLoss(t *testing.T) {
	w := New(Config{Seed: 6, Nodes: 2, Lag: 50 * time.Millisecond, StepTime: time.Second})
	loss := func(l *v1.NodeLoss) func(*v1.Service) { return func(s *v1.Service) { s.Spec.NodeLoss = l } }
	put(t, w, Service("now", "hello:1", 2, nil))
	put(t, w, Service("later", "hello:1", 2, loss(&v1.NodeLoss{After: meta.Duration(time.Minute)})))
	put(t, w, Service("never", "hello:1", 2, loss(&v1.NodeLoss{Action: v1.Keep})))
	settle(t, w, time.Minute)
	services := func() (out []string) {
		for _, name := range meta.SortedKeys(w.check.tasks) {
			if x := w.check.tasks[name]; live(x) && x.Spec.Node == "n001" {
				out = append(out, x.Spec.Service)
			}
		}
		return out
	}
	w.Cut(0, 5*time.Minute)
	for _, step := range []struct {
		after time.Duration
		left  []string
	}{{8 * time.Second, []string{"later", "never", "now"}}, {15 * time.Second, []string{"later", "never"}}, {65 * time.Second, []string{"never"}}, {time.Minute, []string{"never"}}} {
		if err := w.Run(step.after); err != nil {
			t.Fatal(err)
		}
		if got := services(); !slices.Equal(got, step.left) {
			t.Fatalf("after %s more on the node that is cut off: %v, want %v", step.after, got, step.left)
		}
	}
	if err := w.Run(3 * time.Minute); err != nil {
		t.Fatal(err)
	}
	settle(t, w, time.Minute)
	if got := services(); !slices.Equal(got, []string{"never"}) {
		t.Fatalf("when the node is back it has %v", got)
	}
}

// The times of liveness are the cluster's: here nodes beat faster and are given up sooner.
func TestTimesOfLiveness(t *testing.T) {
	w := New(Config{Seed: 8, Nodes: 2, Lag: 50 * time.Millisecond, StepTime: time.Second})
	put(t, w, Service("web", "hello:1", 4, nil))
	settle(t, w, time.Minute)
	o, err := w.store.Get(t.Context(), meta.Key{Kind: "Cluster", Name: v1.ClusterName})
	if err != nil {
		t.Fatal(err)
	}
	c := o.Clone().(*v1.Cluster)
	c.Spec.Heartbeat, c.Spec.SuspectAfter, c.Spec.DownAfter = meta.Duration(time.Second), meta.Duration(2*time.Second), meta.Duration(4*time.Second)
	if err := w.User(store.UpdateOp(c)); err != nil {
		t.Fatal(err)
	}
	before := w.Revision()
	if err := w.Run(time.Minute); err != nil {
		t.Fatal(err)
	}
	if n := w.Revision() - before; n != 0 {
		t.Errorf("a minute of idling after new times wrote %d commits", n)
	}
	w.Cut(0, time.Minute)
	if err := w.Run(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if s := w.check.nodes["n001"].Status.State; s != v1.NodeDown || w.check.readyOff("n001") != 4 {
		t.Fatalf("10 s after it was cut off a node is %s, and %d of 4 tasks run elsewhere", s, w.check.readyOff("n001"))
	}
	settle(t, w, 2*time.Minute)
}
