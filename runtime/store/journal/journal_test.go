package journal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
)

func TestNothingIsSeenBeforeManagersAnswer(t *testing.T) {
	m := newManagers(task("a"))
	m.cutNow()
	r := newRig(t, m)
	if _, _, err := r.node.List(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("an empty view: %v", err)
	}
	if _, err := r.node.Commit(t.Context(), store.CreateOp(task("x"))); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("written before anything is known: %v", err)
	}
	m.heal()
	if err := r.node.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.here("a") == nil || !r.node.Alone().IsZero() {
		t.Error("the managers are heard, and nothing is seen")
	}
}

func TestReportsGoOut(t *testing.T) {
	r := newRig(t, newManagers(task("a")))
	r.await("the task comes", func() bool { return r.here("a") != nil })
	r.report("a", 0)
	r.await("the report is there", func() bool { return r.there("a").Status.Ready })
	r.report("a", 1)
	r.await("the next one, too", func() bool { return r.there("a").Status.Restarts == 1 })
	r.await("nothing is left to report", func() bool { return r.node.Unreported() == 0 })
	r.change("a", func(t *v1.Task) { t.Metadata.Deleted = time.Now() })
	r.await("the wish to remove it comes", func() bool { return !r.here("a").Metadata.Deleted.IsZero() })
	if _, err := r.node.Commit(t.Context(), store.DeleteOp(r.here("a"))); err != nil {
		t.Fatal(err)
	}
	if r.here("a") != nil {
		t.Error("removed, and still seen")
	}
	r.await("it is removed there", func() bool { return r.there("a") == nil })
}

// While alone the newest report of each object is kept; with the managers back, what they did meanwhile holds.
func TestAlone(t *testing.T) {
	names := []string{"same", "wished", "removed", "anew", "unasked"}
	var all []meta.Object
	for _, n := range names {
		all = append(all, task(n))
	}
	r := newRig(t, newManagers(all...))
	r.await("the tasks come", func() bool { return r.here("unasked") != nil })
	r.cutNow()
	r.await("the node is alone", func() bool { return !r.node.Alone().IsZero() })
	for _, n := range names {
		for i := range 3 {
			r.report(n, i+1)
		}
	}
	r.change("wished", func(t *v1.Task) { t.Metadata.Deleted = time.Now() })
	r.remove("removed")
	r.remove("anew")
	r.add("anew")
	r.add("new")
	if r.here("same").Status.Restarts != 3 || r.here("removed") == nil || r.there("same").Status.Restarts != 0 {
		t.Error("alone: the node does not see what it did, or others do")
	}
	before := r.here("unasked")
	r.heal()
	r.await("reports are there", func() bool {
		return r.there("same").Status.Restarts == 3 && r.there("wished").Status.Restarts == 3 && r.node.Unreported() == 0
	})
	if r.here("removed") != nil || r.there("removed") != nil {
		t.Error("what was removed came back")
	}
	if x := r.here("anew"); x.Metadata.UID != r.there("anew").Metadata.UID || x.Status.Restarts != 0 {
		t.Error("a task that was made anew has the status of the one before")
	}
	if r.here("wished").Metadata.Deleted.IsZero() || r.here("new") == nil {
		t.Error("what is wanted meanwhile is not seen")
	}
	if r.here("unasked") != before {
		t.Error("a task of which nobody wanted anything was changed in the view")
	}
}

// A node that starts without managers goes by what is on disk, its own reports included, which it makes when they are back.
func TestStartAlone(t *testing.T) {
	r := newRig(t, newManagers(task("a"), task("b"), task("c")))
	r.await("the tasks come", func() bool { return r.here("c") != nil })
	r.cutNow()
	r.report("a", 4)
	r.change("b", func(t *v1.Task) { t.Metadata.Deleted = time.Now() })
	r.stop()
	for range 2 { // also a second time
		r.start()
		if err := r.node.Await(t.Context()); err != nil {
			t.Fatal(err)
		}
		if x := r.here("a"); x == nil || x.Status.Restarts != 4 || x.Metadata.UID != r.there("a").Metadata.UID || x.Spec.Image != r.there("a").Spec.Image {
			t.Fatalf("after a restart without managers: %+v", x)
		}
		if r.here("b") == nil || r.node.Alone().IsZero() || r.node.Unreported() != 1 {
			t.Error("not all is as it was")
		}
		r.stop()
	}
	r.remove("c")
	r.heal()
	r.start()
	r.await("all is told", func() bool {
		return r.there("a").Status.Restarts == 4 && r.here("c") == nil && !r.here("b").Metadata.Deleted.IsZero()
	})
}

// Managers that lost their store, have another cluster or an older state are not obeyed, also if they turn up in the middle.
func TestStrangers(t *testing.T) {
	m := newManagers(task("a"))
	r := newRig(t, m)
	r.await("the task comes", func() bool { return r.here("a") != nil })
	r.report("a", 1)
	r.await("it is reported", func() bool { return r.there("a").Status.Restarts == 1 })
	right := m.Store
	foreign := cluster("c2")
	stranger := memstore.New(foreign)
	for range 10 {
		if _, err := stranger.Commit(t.Context(), store.Op{Verb: store.Put, Key: foreign.Key(), Object: foreign, Guard: store.Any}); err != nil {
			t.Fatal(err)
		}
	}
	for what, s := range map[string]*memstore.Store{"empty": memstore.New(), "foreign": stranger, "old": memstore.New(cluster("c1"))} {
		r.stop()
		m.Store = s
		r.start()
		r.await("the node complains of what is "+what, func() bool { return r.node.Health() != nil })
		if x := r.here("a"); x == nil || x.Status.Restarts != 1 {
			t.Errorf("%s managers were obeyed", what)
		}
	}
	r.stop()
	m.Store = right
	r.start()
	r.await("the right ones are obeyed", func() bool { return r.node.Health() == nil && r.node.Alone().IsZero() })
	x := r.managers.Store
	for _, f := range []func(*v1.Cluster) store.Op{
		func(c *v1.Cluster) store.Op { return store.DeleteOp(c) },
	} {
		c, _ := x.Get(t.Context(), clusterKey)
		if _, err := x.Commit(t.Context(), f(c.(*v1.Cluster)), store.DeleteOp(r.there("a"))); err != nil {
			t.Fatal(err)
		}
		r.await("the node complains", func() bool { return r.node.Health() != nil })
		if r.here("a") == nil {
			t.Error("managers that lose their store take the tasks with it")
		}
	}
}

func TestOutcomeUnknown(t *testing.T) {
	m := newManagers(task("a"))
	var answers atomic.Int32
	m.answer = func([]store.Op) error {
		if answers.Add(1) == 1 {
			return store.ErrUnknown
		}
		return nil
	}
	r := newRig(t, m)
	r.await("the task comes", func() bool { return r.here("a") != nil })
	r.report("a", 1)
	r.await("it is known what came of the report", func() bool { return answers.Load() > 0 && r.node.Unreported() == 0 })
	if _, rev, _ := m.Store.List(t.Context()); rev != 3 {
		t.Errorf("one report made %d commits", rev-2)
	}
}

// What the managers refuse does not keep them from hearing of the rest.
func TestRefused(t *testing.T) {
	m := newManagers(task("a"), task("b"), task("c"))
	m.refuse = func(ops []store.Op) error {
		if slices.ContainsFunc(ops, func(o store.Op) bool { return o.Key.Name == "b" }) {
			return store.ErrForbidden
		}
		return nil
	}
	r := newRig(t, m)
	r.await("the tasks come", func() bool { return r.here("c") != nil })
	r.cutNow()
	for _, n := range []string{"a", "b", "c"} {
		r.report(n, 1)
	}
	r.heal()
	r.await("the others are reported", func() bool { return r.there("a").Status.Ready && r.there("c").Status.Ready })
	if r.there("b").Status.Ready || r.here("b").Status.Restarts != 1 || r.node.Unreported() != 1 {
		t.Error("what is refused is neither there nor forgotten here")
	}
}

func TestConflictIsSettledByWhatIsThere(t *testing.T) {
	m := newManagers(task("a"))
	var once sync.Once
	var r *rig
	m.refuse = func([]store.Op) error { // the managers change it just before
		once.Do(func() { r.change("a", func(t *v1.Task) { t.Metadata.Labels = map[string]string{"x": "y"} }) })
		return nil
	}
	r = newRig(t, m)
	r.await("the task comes", func() bool { return r.here("a") != nil })
	r.report("a", 1)
	r.await("both changes are there", func() bool {
		x := r.there("a")
		return x.Status.Restarts == 1 && x.Metadata.Labels["x"] == "y"
	})
}

// Events are reported as all else, and are not kept: one that is told again after a restart goes over the one that is there.
func TestEvents(t *testing.T) {
	r := newRig(t, newManagers(task("a")))
	r.await("the task comes", func() bool { return r.here("a") != nil })
	about := meta.Key{Kind: "Task", Name: "a"}
	tell := func(count int) {
		e := meta.New[v1.Event](v1.EventName(about, "CrashLoop"))
		e.Metadata.Created, e.Metadata.Generation = time.Now(), 1
		e.Spec.About, e.Spec.Reason, e.Spec.Node, e.Status.Count = about, "CrashLoop", "n1", count
		if _, err := r.node.Commit(t.Context(), store.Op{Verb: store.Put, Key: e.Key(), Object: e, Guard: store.Any}); err != nil {
			t.Fatal(err)
		}
	}
	there := func() (e *v1.Event) {
		if o, err := r.managers.Store.Get(t.Context(), meta.Key{Kind: "Event", Name: v1.EventName(about, "CrashLoop")}); err == nil {
			e = o.(*v1.Event)
		}
		return e
	}
	tell(1)
	r.await("the event is there", func() bool { return there() != nil })
	first := there().Metadata
	tell(2)
	r.await("it is counted", func() bool { return there().Status.Count == 2 })
	r.stop()
	r.cutNow()
	r.start()
	tell(3)
	r.heal()
	r.await("it is told over the one from before", func() bool { return there().Status.Count == 3 && r.node.Unreported() == 0 })
	if now := there().Metadata; now.UID != first.UID || now.Generation != 1 {
		t.Errorf("%+v became %+v", first, now)
	}
	if data, _ := os.ReadFile(filepath.Join(r.dir, Name)); strings.Contains(string(data), "CrashLoop") {
		t.Error("events are on the disk")
	}
}

// What says nothing new to the disk is not written.
func TestIdleWritesNothing(t *testing.T) {
	svc := meta.New[v1.Service]("web")
	svc.Spec.Image = "x:1"
	r := newRig(t, newManagers(task("a"), svc))
	path := filepath.Join(r.dir, Name)
	stat := func() os.FileInfo { i, _ := os.Stat(path); return i }
	empty := stat().Size()
	r.await("it is written", func() bool { return stat().Size() > empty })
	if mode := stat().Mode().Perm(); mode != 0o600 {
		t.Errorf("mode %o", mode)
	}
	before := stat()
	seen := func() store.Revision { r.node.mu.Lock(); defer r.node.mu.Unlock(); return r.node.seen }
	for range 20 {
		o, _ := r.managers.Store.Get(t.Context(), svc.Key())
		rev, err := r.managers.Store.Commit(t.Context(), store.UpdateOp(o)) // to this node nothing but its revision changes
		if err != nil {
			t.Fatal(err)
		}
		r.await("it comes", func() bool { return seen() == rev })
	}
	r.stop() // which would write what is left
	if after := stat(); after.Size() != before.Size() || after.ModTime() != before.ModTime() {
		t.Errorf("%d bytes before, %d after", before.Size(), after.Size())
	}
}

// Whatever both sides do, with whatever link: in the end both see the same, and so does who starts from the disk.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := newRig(t, newManagers(task("t0")))
			r.await("the task comes", func() bool { return r.here("t0") != nil })
			rnd := rand.New(rand.NewPCG(seed, 1))
			for i := range 150 {
				r.randomly(rnd, i)
			}
			r.heal()
			if r.node.Alone().IsZero() || rnd.IntN(2) == 0 {
				r.stop()
				r.start()
			}
			r.await("both sides agree", func() bool { return r.node.Unreported() == 0 && r.node.Alone().IsZero() && r.agree(r.node) })
			r.stop()
			r.cutNow()
			r.start()
			if !r.agree(r.node) {
				t.Error("the disk says otherwise")
			}
		})
	}
}

func (r *rig) randomly(rnd *rand.Rand, i int) {
	name := fmt.Sprintf("t%d", rnd.IntN(4))
	switch here, there := r.here(name), r.there(name); rnd.IntN(8) {
	case 0:
		if there == nil {
			r.add(name)
		}
	case 1:
		if there != nil {
			_, _ = r.managers.Store.Commit(r.Context(), store.Op{Verb: store.Delete, Key: there.Key(), Guard: store.Any})
		}
	case 2:
		if there != nil {
			next := meta.CloneOf(there)
			next.Metadata.Deleted = time.Now()
			_, _ = r.managers.Store.Commit(r.Context(), store.UpdateOp(next))
		}
	case 3:
		if here != nil && !here.Metadata.Deleted.IsZero() {
			_, _ = r.node.Commit(r.Context(), store.DeleteOp(here))
		}
	case 4:
		r.cutNow()
	case 5:
		r.heal()
	case 6:
		if i%5 == 0 {
			r.stop()
			r.start()
		}
	default:
		if here != nil {
			next := meta.CloneOf(here)
			next.Status.Restarts, next.Status.Message = i, fmt.Sprint("try ", i)
			_, _ = r.node.Commit(r.Context(), store.UpdateOp(next))
		}
	}
}

// agree tells whether a store sees what the managers have.
func (r *rig) agree(s store.Store) bool {
	a, _, _ := s.List(r.Context())
	b, _, _ := r.managers.Store.List(r.Context())
	return slices.EqualFunc(a, b, func(x, y meta.Object) bool { return x.Key() == y.Key() && alike(x, y) })
}
