package sim

import (
	"testing"
	"time"

	v1 "warren.io/warren/apis/v1"
)

func tasksOn(w *World, node string) (n int) {
	for _, t := range w.check.tasks {
		if live(t) && t.Spec.Node == node {
			n++
		}
	}
	return n
}

// Draining takes all tasks away and none is missed meanwhile; a global service leaves the node and comes back.
func TestDrain(t *testing.T) {
	for seed := range uint64(20) {
		w := New(Config{Seed: seed, Nodes: 3, Lag: 50 * time.Millisecond, StepTime: time.Second})
		put(t, w, Service("web", "hello:1", 6, nil))
		put(t, w, Service("all", "hello:1", 0, func(s *v1.Service) { s.Spec.Mode, s.Spec.Replicas = v1.Global, nil }))
		settle(t, w, 2*time.Minute)
		w.check.leastReady = map[string]int{"web": 6, "all": 2}
		w.check.mostLive = map[string]int{"web": 7} // one more than wanted: they go one by one
		w.wish(0, gentle)
		if err := w.Run(time.Minute); err != nil {
			t.Fatal(err)
		}
		if n := tasksOn(w, "n001"); n != 0 {
			t.Fatalf("seed %d: %d tasks are left on a drained node after a minute", seed, n)
		}
		w.wish(0, v1.NodeSpec{})
		settle(t, w, 2*time.Minute)
		if n := tasksOn(w, "n001"); n != 1 {
			t.Fatalf("seed %d: %d tasks are on the node after the drain, want the one of the global service", seed, n)
		}
	}
}

// Where no other node can take a task, it goes on and its successor says why; with the end of the drain all is as before.
func TestDrainWithoutRoom(t *testing.T) {
	w := New(Config{Seed: 4, Nodes: 1, Lag: 50 * time.Millisecond, StepTime: time.Second})
	put(t, w, Service("web", "hello:1", 2, nil))
	settle(t, w, time.Minute)
	w.check.leastReady = map[string]int{"web": 2}
	w.wish(0, gentle)
	if err := w.Run(time.Minute); err != nil {
		t.Fatal(err)
	}
	next := w.check.tasks["web-1-3"]
	if next == nil || len(next.Status.Pending) != 1 || next.Status.Pending[0].Message != "1 node is cordoned" || len(w.check.tasks) != 3 {
		t.Fatalf("the successor is %+v of %d tasks", next, len(w.check.tasks))
	}
	w.wish(0, v1.NodeSpec{})
	settle(t, w, time.Minute)
	if w.check.tasks["web-1-1"] == nil || w.check.tasks["web-2-2"] == nil {
		t.Fatal("the end of the drain replaced what ran")
	}
	w.check.leastReady = nil
	w.wish(0, force)
	if err := w.Run(time.Minute); err != nil {
		t.Fatal(err)
	}
	if n := tasksOn(w, "n001"); n != 0 {
		t.Fatalf("%d tasks are left on a node that was drained by force", n)
	}
}

// A node that was given up and removed leaves nothing behind; when it lives again it makes itself known, and stops what it ran.
func TestRemoveNode(t *testing.T) {
	w := New(Config{Seed: 2, Nodes: 3, Lag: 50 * time.Millisecond, StepTime: time.Second})
	put(t, w, Service("web", "hello:1", 6, nil))
	put(t, w, Service("keep", "hello:1", 3, func(s *v1.Service) { s.Spec.NodeLoss = &v1.NodeLoss{Action: v1.Keep} }))
	put(t, w, Service("all", "hello:1", 0, func(s *v1.Service) { s.Spec.Mode, s.Spec.Replicas = v1.Global, nil }))
	settle(t, w, 2*time.Minute)
	w.removeNode(0)
	if w.check.nodes["n001"] == nil {
		t.Fatal("a node that is ready was removed")
	}
	w.Cut(0, 3*time.Minute)
	if err := w.Run(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	w.removeNode(0)
	if err := w.Run(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	for name, x := range w.check.tasks {
		if x.Spec.Node == "n001" {
			t.Errorf("%s is left on a node that was removed", name)
		}
	}
	if w.check.nodes["n001"] != nil || w.check.services["keep"].Status.Ready != 3 {
		t.Fatalf("node %v, services %+v", w.check.nodes["n001"], w.check.services["keep"].Status)
	}
	if err := w.Run(3 * time.Minute); err != nil {
		t.Fatal(err)
	}
	settle(t, w, time.Minute)
	if n := tasksOn(w, "n001"); n != 1 {
		t.Fatalf("the node that is back has %d tasks, want that of the global service", n)
	}
}
