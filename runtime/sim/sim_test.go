package sim

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// seeds is how many clusters TestSeeds lives through: SEEDS=n, or 200, 40 with -short. SEED=n runs that one only.
func seeds(t *testing.T) (from, to uint64) {
	if s := os.Getenv("SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("SEED=%s: %v", s, err)
		}
		return n, n + 1
	}
	n, err := strconv.ParseUint(os.Getenv("SEEDS"), 10, 64)
	switch {
	case err == nil:
	case testing.Short():
		n = 40
	default:
		n = 200
	}
	return 1, n + 1
}

// TestSeeds lives through its clusters on all processors: each is one goroutine.
func TestSeeds(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	from, to := seeds(t)
	began := time.Now()
	var next atomic.Uint64
	next.Store(from)
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for seed := next.Add(1) - 1; seed < to && !t.Failed(); seed = next.Add(1) - 1 {
				if err := rough(Rough(seed)); err != nil {
					t.Errorf("%v\nagain: SEED=%d go test ./runtime/sim -run TestSeeds", err, seed)
				}
			}
		})
	}
	all.Wait()
	t.Logf("%.0f seeds a second on %d processors", float64(to-from)/time.Since(began).Seconds(), runtime.GOMAXPROCS(0))
}

// rough lives, lets all faults end, and demands that everything is as wanted and then stays silent for an hour.
func rough(w *World) error {
	if err := w.Live(3 * time.Minute); err != nil {
		return err
	}
	if err := w.Run(time.Minute); err != nil {
		return err
	}
	if err := w.Settle(10 * time.Minute); err != nil {
		w.fail("does not settle: %v", err)
		return w.err
	}
	return silent(w)
}

func silent(w *World) error {
	if err := w.Run(2 * time.Minute); err != nil { // rows of failures end
		return err
	}
	idle := time.Hour
	if w.Seed%10 != 0 {
		idle = 5 * time.Minute // the hour costs more than the three minutes before
	}
	before := w.Revision()
	if err := w.Run(idle); err != nil {
		return err
	}
	if n := w.Revision() - before; n != 0 {
		w.fail("%s of idling wrote %d commits", idle, n)
	}
	return w.err
}

func TestSameSeedSameHistory(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		a, b := Rough(seed), Rough(seed)
		if err := a.Live(2 * time.Minute); err != nil {
			t.Fatal(err)
		}
		if err := b.Live(2 * time.Minute); err != nil {
			t.Fatal(err)
		}
		if a.History() != b.History() || a.Revision() != b.Revision() {
			t.Fatalf("seed %d: two runs differ: revision %d and %d", seed, a.Revision(), b.Revision())
		}
	}
}

func put(t *testing.T, w *World, s *v1.Service) {
	t.Helper()
	if err := w.User(store.Op{Verb: store.Put, Key: s.Key(), Object: s, Guard: store.Any}); err != nil {
		t.Fatal(err)
	}
}

func settle(t *testing.T, w *World, d time.Duration) {
	t.Helper()
	if err := w.Settle(d); err != nil {
		t.Fatal(err)
	}
}

// In an update with nothing else going on, at most one task is away at any time.
func TestUpdateOneAtATime(t *testing.T) {
	w := New(Config{Seed: 7, Nodes: 3, Lag: 50 * time.Millisecond, StepTime: time.Second})
	put(t, w, Service("web", "hello:1", 5, nil))
	settle(t, w, time.Minute)
	w.check.leastReady = map[string]int{"web": 4}
	put(t, w, Service("web", "hello:2", 5, nil))
	settle(t, w, 2*time.Minute)
}

// A task that waits for room gets it when another task leaves, with nothing else going on.
func TestRoomComesFree(t *testing.T) {
	w := New(Config{Seed: 4, Nodes: 1, Lag: 50 * time.Millisecond, StepTime: time.Second, Capacity: v1.ResourceList{CPU: 4000, Memory: 100, Pids: 1000}})
	half := func(s *v1.Service) { s.Spec.Resources.Reservations.Memory = 60 }
	put(t, w, Service("first", "hello:1", 1, half))
	settle(t, w, time.Minute)
	put(t, w, Service("second", "hello:1", 1, half))
	settle(t, w, time.Minute)
	if st := w.check.services["second"].Status; st.Ready != 0 {
		t.Fatalf("there is no room for it, and it runs: %+v", st)
	}
	put(t, w, Service("first", "hello:1", 0, half))
	settle(t, w, time.Minute)
	if st := w.check.services["second"].Status; st.Ready != 1 {
		t.Fatalf("there is room for it, and it waits: %+v", st)
	}
}

// A node that comes back in time keeps its tasks; one that is away too long finds them replaced and stops its own.
func TestPartition(t *testing.T) {
	w := New(Config{Seed: 3, Nodes: 4, Lag: 50 * time.Millisecond, StepTime: time.Second})
	put(t, w, Service("web", "hello:1", 8, nil))
	settle(t, w, time.Minute)
	names := meta.SortedKeys(w.check.tasks)
	w.Cut(0, 5*time.Second)
	if err := w.Run(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	settle(t, w, time.Minute)
	if after := meta.SortedKeys(w.check.tasks); len(after) != len(names) || after[0] != names[0] {
		t.Fatalf("a short cut replaced tasks: %v, then %v", names, after)
	}
	w.Cut(0, time.Minute)
	if err := w.Run(40 * time.Second); err != nil {
		t.Fatal(err)
	}
	if ready := w.check.services["web"].Status.Ready; ready != 8 || w.check.readyOff("n001") != 8 {
		t.Fatalf("40 s after a node was cut off %d of 8 tasks are ready, %d of them elsewhere", ready, w.check.readyOff("n001"))
	}
	if s := w.check.nodes["n001"].Status.State; s != v1.NodeDown {
		t.Fatalf("40 s after it was cut off a node is %s", s)
	}
	settle(t, w, 2*time.Minute)
}

// What was given up is not started again, also when nothing of it is left on its machine.
func TestEndedStaysEnded(t *testing.T) {
	w := New(Config{Seed: 6, Nodes: 1, Lag: 50 * time.Millisecond, StepTime: time.Second})
	put(t, w, Service("once", "hello:1", 1, func(s *v1.Service) { s.Spec.Restart.Policy = v1.RestartNever }))
	settle(t, w, time.Minute)
	w.Crash(0, 1)
	settle(t, w, time.Minute)
	w.Vanish(0)
	if err := w.Run(10 * time.Second); err != nil { // time enough to start it
		t.Fatal(err)
	}
	settle(t, w, time.Minute)
	if st := w.check.services["once"].Status; st.Ready != 0 {
		t.Fatalf("it runs again: %+v", st)
	}
}

// An agent that is cut off in the middle of its reports still starts again what crashes.
func TestCutOffAgentRestarts(t *testing.T) {
	for lag := range 20 {
		w := New(Config{Seed: 5, Nodes: 1, Lag: 400 * time.Millisecond, StepTime: 10 * time.Millisecond})
		put(t, w, Service("web", "hello:1", 3, nil))
		settle(t, w, time.Minute)
		w.Crash(0, 1)
		if err := w.Run(time.Duration(lag) * 50 * time.Millisecond); err != nil {
			t.Fatal(err)
		}
		w.Cut(0, time.Minute)
		w.Crash(0, 1)
		if err := w.Run(10 * time.Second); err != nil {
			t.Fatal(err)
		}
		if n := len(w.nodes[0].machine.Running()); n != 3 {
			t.Fatalf("cut off %d ms after a crash: %d of 3 run after 10 s", lag*50, n)
		}
	}
}

// readyOff counts the tasks that are wanted and run on another node.
func (c *checker) readyOff(node string) int {
	n := 0
	for _, t := range c.tasks {
		if t.Spec.Node != node && live(t) && t.Status.Ready {
			n++
		}
	}
	return n
}

// One hundred nodes with ten thousand tasks start; ten nodes are cut off for a minute, and heal.
func TestLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("the large simulation is not part of the fast tier")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	began := time.Now()
	w := New(Config{Seed: 1, Nodes: 100, Lag: 50 * time.Millisecond, StepTime: 300 * time.Millisecond, Loose: true})
	for i := range 100 {
		put(t, w, Service("s"+strconv.Itoa(i), "hello:1", 100, nil))
	}
	settle(t, w, 5*time.Minute)
	started := time.Since(began)
	for i := range 10 {
		w.Cut(i*10, time.Minute)
	}
	if err := w.Run(time.Minute); err != nil {
		t.Fatal(err)
	}
	settle(t, w, 5*time.Minute)
	t.Logf("10,000 tasks on 100 nodes: started in %.1f s, cut and healed in %.1f s of wall time, %d commits",
		started.Seconds(), (time.Since(began) - started).Seconds(), w.Revision())
}
