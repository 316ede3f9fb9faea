package sim

import (
	"slices"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
)

// three is a cluster of three managers and some nodes on which a service with so many tasks runs.
func three(t *testing.T, seed uint64, nodes, replicas int) *World {
	t.Helper()
	w := New(Config{Seed: seed, Nodes: nodes, Managers: 3, Lag: 50 * time.Millisecond, FollowerLag: 200 * time.Millisecond, StepTime: time.Second})
	put(t, w, Service("web", "hello:1", replicas, nil))
	settle(t, w, time.Minute)
	return w
}

func (w *World) starts() map[string]int {
	all := map[string]int{}
	for _, n := range w.nodes {
		for who, starts := range n.machine.Starts {
			all[who] += starts
		}
	}
	return all
}

// untouched demands that the same tasks run as before, none of them started again but for those that crashed.
func untouched(t *testing.T, w *World, before map[string]int, crashed int) {
	t.Helper()
	after := w.starts()
	again := 0
	for who, n := range after {
		if before[who] == 0 {
			t.Errorf("%s was started for nothing", who)
		}
		again += n - before[who]
	}
	if again != crashed {
		t.Errorf("%d tasks were started again; %d crashed", again, crashed)
	}
	for i := range w.nodes {
		for _, name := range w.nodes[i].machine.Names() {
			if s, _ := w.nodes[i].machine.Look(name); s.Phase != host.Running {
				t.Errorf("%s is %s", name, s.Phase)
			}
		}
	}
}

func run(t *testing.T, w *World, d time.Duration) {
	t.Helper()
	if err := w.Run(d); err != nil {
		t.Fatal(err)
	}
}

// All managers are dead for two minutes: tasks go on, one that crashes is started again, and when they are back nothing else is.
func TestAllManagersLost(t *testing.T) {
	for seed := range uint64(20) {
		w := three(t, seed, 4, 8)
		before, rev := w.starts(), w.Revision()
		w.ManagersLost(2 * time.Minute)
		run(t, w, time.Minute)
		if w.Revision() != rev {
			t.Fatal("something was committed without managers")
		}
		w.Crash(int(seed%4), 1)
		run(t, w, 30*time.Second)
		untouched(t, w, before, 1)
		run(t, w, 40*time.Second)
		settle(t, w, time.Minute)
		untouched(t, w, before, 1)
		if names := meta.SortedKeys(w.check.tasks); len(names) != 8 {
			t.Fatalf("there are %v", names)
		}
	}
}

// Whatever happens to the leader alone, no task notices: it dies, sleeps, is cut off from the others, and comes back.
func TestLeaderLost(t *testing.T) {
	faults := map[string]func(*World, int){
		"killed": func(w *World, i int) { w.KillManager(i, 20*time.Second) },
		"asleep": func(w *World, i int) { w.PauseManager(i, 20*time.Second) },
		"split":  func(w *World, i int) { w.SplitManager(i, 20*time.Second) },
	}
	for name, fault := range faults {
		for seed := range uint64(10) {
			w := three(t, seed, 4, 8)
			before, old := w.starts(), w.leader
			fault(w, w.leads())
			run(t, w, 2*time.Second)
			if w.leader == old {
				t.Fatalf("%s: nobody took over within 2 s", name)
			}
			run(t, w, time.Minute)
			untouched(t, w, before, 0)
			settle(t, w, time.Minute)
		}
	}
}

// The only manager sleeps for a minute: when it wakes it has heard nobody for a minute, and must not think them dead.
func TestLeaderSleeps(t *testing.T) {
	for seed := range uint64(10) {
		w := New(Config{Seed: seed, Nodes: 3, Lag: 50 * time.Millisecond, StepTime: time.Second})
		put(t, w, Service("web", "hello:1", 6, nil))
		settle(t, w, time.Minute)
		before := w.starts()
		w.PauseManager(0, time.Minute)
		run(t, w, 2*time.Minute)
		untouched(t, w, before, 0)
	}
}

// A leader that sleeps and wakes as one among others commits nothing more, though it has work to do.
func TestStaleLeader(t *testing.T) {
	w := three(t, 3, 3, 3)
	old := w.leader
	w.PauseManager(w.leads(), 10*time.Second)
	run(t, w, 5*time.Second)
	put(t, w, Service("web", "hello:2", 6, nil)) // what the sleeper will see when it wakes
	old.engine.Poke("reconciler", "web")
	run(t, w, 10*time.Second)
	if w.leader == old || !old.fenced || !old.gone {
		t.Fatalf("the leader that slept: fenced %t, ended %t", old.fenced, old.gone)
	}
	settle(t, w, time.Minute)
}

// Several nodes are lost at once and come back after their tasks were replaced: the surplus ends, the replacements stay.
func TestReturnAfterReplacement(t *testing.T) {
	w := three(t, 4, 5, 10)
	w.Cut(0, time.Minute)
	w.Cut(1, time.Minute)
	run(t, w, 40*time.Second)
	replaced := w.names()
	if w.check.readyOff("n001") != 10 || len(w.nodes[0].machine.Running()) == 0 {
		t.Fatalf("40 s after two nodes were cut off the tasks are %v, and %v go on there", replaced, w.nodes[0].machine.Running())
	}
	run(t, w, 35*time.Second)
	settle(t, w, time.Minute)
	if now := w.names(); !slices.Equal(now, replaced) {
		t.Fatalf("the nodes' return changed the tasks from %v to %v", replaced, now)
	}
	if left := w.nodes[0].machine.Running(); len(left) != 0 {
		t.Fatalf("n001 still runs %v", left)
	}
}

func (w *World) names() (out []string) {
	for _, name := range meta.SortedKeys(w.check.tasks) {
		if live(w.check.tasks[name]) {
			out = append(out, name)
		}
	}
	return out
}

// Nodes that come and go every few seconds, never silent for long enough to be given up, keep their tasks.
func TestFlapping(t *testing.T) {
	w := three(t, 5, 6, 12)
	before := w.starts()
	for i := range 6 {
		w.Flap(i, 8*time.Second, 2*time.Minute)
	}
	run(t, w, 150*time.Second)
	settle(t, w, time.Minute)
	untouched(t, w, before, 0)
}

// Clocks that are wrong by a day, of nodes as of managers, change neither when a node is given up nor what its tasks wait for.
func TestWildClocks(t *testing.T) {
	for seed := range uint64(20) {
		w := New(Config{Seed: seed, Nodes: 3, Managers: 3, Lag: 50 * time.Millisecond, StepTime: time.Second, Skew: 24 * time.Hour, ManagerSkew: 24 * time.Hour})
		wait := func(s *v1.Service) { s.Spec.NodeLoss = &v1.NodeLoss{After: meta.Duration(time.Minute)} }
		put(t, w, Service("web", "hello:1", 6, nil))
		put(t, w, Service("patient", "hello:1", 3, wait))
		settle(t, w, time.Minute)
		w.Cut(0, 10*time.Minute)
		run(t, w, 12*time.Second)
		if s := w.check.nodes["n001"].Status.State; s != v1.NodeSuspect {
			t.Fatalf("seed %d: 12 s after it was cut off a node is %s", seed, s)
		}
		run(t, w, 13*time.Second)
		if off := w.check.readyOff("n001"); off < 6 {
			t.Fatalf("seed %d: 25 s after a node was cut off only %d tasks run elsewhere", seed, off)
		}
		w.KillManager(w.leads(), time.Minute) // what the next leader reads of times was written by this one
		run(t, w, 2*time.Minute)
		if off := w.check.readyOff("n001"); off != 9 {
			t.Fatalf("seed %d: 145 s after a node was cut off %d of 9 tasks run elsewhere", seed, off)
		}
		run(t, w, 10*time.Minute)
		settle(t, w, time.Minute)
	}
}
