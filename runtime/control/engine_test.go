package control

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

func ready(n int) func(*v1.Service) { return func(s *v1.Service) { s.Status.Ready = n } }

// What a breach of contract wrote is not committed, nor is anything else of that transaction.
func TestNothingOfABreachIsCommitted(t *testing.T) {
	r := newRig(t, []meta.Object{service("web")}, labeler(func(tx *Tx, name string) (Result, error) {
		s, _ := Get[v1.Service](tx, name)
		Modify(tx, s, ready(1))
		tx.Create(task("a", meta.Owner{}))
		Modify(tx, s, func(s *v1.Service) { s.Spec.Image = "other" })
		return Result{}, nil
	}))
	done := r.step()
	if len(done) != 1 || !errors.Is(done[0].Err, ErrContract) || done[0].Ops != 0 {
		t.Fatalf("%+v", done)
	}
	if _, rev, _ := r.mem.List(t.Context()); rev != r.sent {
		t.Error("something was committed")
	}
}

// After its own commit a controller does not run before that commit has arrived, however often it is asked.
func TestReadYourWrites(t *testing.T) {
	var saw []int
	r := newRig(t, []meta.Object{service("web")}, labeler(func(tx *Tx, name string) (Result, error) {
		s, _ := Get[v1.Service](tx, name)
		saw = append(saw, s.Status.Ready)
		if s.Status.Ready < 3 {
			Modify(tx, s, ready(s.Status.Ready+1))
		}
		return Result{After: 1}, nil
	}))
	for range 3 {
		r.now = r.now.Add(time.Second)
		r.Poke("labeler", "web")
		r.Kick()
		r.step()
	}
	if fmt.Sprint(saw) != "[0]" {
		t.Fatalf("ran on %v before its own commit arrived", saw)
	}
	for range 4 {
		r.arrive()
		r.now = r.now.Add(time.Second)
		r.step()
	}
	if fmt.Sprint(saw[:4]) != "[0 1 2 3]" {
		t.Errorf("ran on %v", saw)
	}
}

// Without a watch nothing is held back: a commit that will not arrive must not stop an agent.
func TestLostHoldsNothingBack(t *testing.T) {
	runs := 0
	r := newRig(t, []meta.Object{service("web")}, labeler(func(tx *Tx, name string) (Result, error) {
		s, _ := Get[v1.Service](tx, name)
		if runs++; runs == 1 {
			Modify(tx, s, ready(1))
		}
		return Result{}, nil
	}))
	r.step()
	r.Poke("labeler", "web")
	r.Kick()
	if r.step(); runs != 1 {
		t.Fatalf("%d runs while its own commit was on its way", runs)
	}
	r.Lost()
	if r.step(); runs != 2 {
		t.Errorf("%d runs after the watch was lost", runs)
	}
}

func TestConflictIsTriedAgain(t *testing.T) {
	r := newRig(t, []meta.Object{service("web")}, labeler(func(tx *Tx, name string) (Result, error) {
		s, _ := Get[v1.Service](tx, name)
		Modify(tx, s, ready(7))
		return Result{}, nil
	}))
	changed := r.service("web").Clone()
	changed.Meta().Labels = map[string]string{"by": "user"}
	r.commit(store.UpdateOp(changed))
	if done := r.step(); len(done) != 1 || !errors.Is(done[0].Err, store.ErrConflict) {
		t.Fatalf("%+v", done)
	}
	r.now = r.now.Add(time.Second)
	r.rest()
	if s := r.service("web"); s.Status.Ready != 7 || s.Metadata.Labels["by"] != "user" {
		t.Errorf("%+v", s)
	}
}

func TestBackoffGrowsAndEnds(t *testing.T) {
	broken := true
	r := newRig(t, []meta.Object{service("web")}, labeler(func(*Tx, string) (Result, error) {
		if broken {
			return Result{}, errors.New("broken")
		}
		return Result{}, nil
	}))
	wait := func() time.Duration {
		r.step()
		at, ok := r.Next()
		if !ok {
			t.Fatal("nothing is scheduled")
		}
		d := at.Sub(r.now)
		r.now = at
		return d
	}
	last := time.Duration(0)
	for i := range 16 {
		d := wait()
		if d < last*5/4 && last < maxBackoff*3/4 || d > maxBackoff || i == 0 && d > minBackoff {
			t.Errorf("wait %d is %s after %s", i, d, last)
		}
		last = d
	}
	if last < maxBackoff*3/4 {
		t.Errorf("the wait ends at %s", last)
	}
	broken = false
	if r.step(); r.queue.len() != 0 {
		t.Error("scheduled after success")
	}
	broken = true
	r.Poke("labeler", "web")
	r.Kick()
	if d := wait(); d > minBackoff {
		t.Errorf("the first wait of a new row is %s", d)
	}
}

func TestResultAfter(t *testing.T) {
	runs := 0
	r := newRig(t, []meta.Object{service("web")}, labeler(func(*Tx, string) (Result, error) {
		runs++
		return Result{After: time.Minute}, nil
	}))
	r.step()
	r.now = r.now.Add(59 * time.Second)
	if r.step(); runs != 1 {
		t.Errorf("%d runs after 59 s", runs)
	}
	r.Poke("labeler", "web") // moves it forward; there is one timer for an item
	r.Kick()
	r.step()
	r.now = r.now.Add(2 * time.Second)
	if r.step(); runs != 2 {
		t.Errorf("%d runs: a poke left the old timer", runs)
	}
}

func TestPanicIsContained(t *testing.T) {
	other := 0
	r := newRig(t, []meta.Object{service("web")}, labeler(func(*Tx, string) (Result, error) { panic("oops") }),
		actor{Contract{Name: "other", Reads: reads("Service")}, func(*Tx, string) (Result, error) { other++; return Result{}, nil }})
	done := r.step()
	if !errors.Is(done[0].Err, ErrContract) || other != 1 {
		t.Errorf("%v; the other ran %d times", done[0].Err, other)
	}
}

func TestPanicOfAnInputIsContained(t *testing.T) {
	ran := 0
	r := newRig(t, []meta.Object{service("a"), service("b")}, actor{Contract{Name: "x", Kind: "Service", Reads: []Input{{Kind: "Service",
		Items: func(_, new meta.Object) []string { return []string{new.Key().Name} }}}}, func(*Tx, string) (Result, error) { ran++; return Result{}, nil }})
	r.step()
	r.commit(store.DeleteOp(r.service("a"))) // new is nil
	if r.rest(); ran != 3 {
		t.Errorf("%d runs; two at the start and the one that is left are due", ran)
	}
}

func TestWhoRuns(t *testing.T) {
	var ran []string
	note := func(who string) func(*Tx, string) (Result, error) {
		return func(_ *Tx, name string) (Result, error) { ran = append(ran, who+":"+name); return Result{}, nil }
	}
	r := newRig(t, []meta.Object{service("a"), service("b")}, labeler(note("svc")),
		actor{Contract{Name: "all", Kind: "Service", Reads: []Input{{Kind: "Service", Items: NoItems}, {Kind: "Node", Items: func(_, _ meta.Object) []string { return All }}}}, note("all")},
		actor{Contract{Name: "one", Reads: []Input{{Kind: "Node", Items: One}}}, note("one")})
	r.step()
	if got := fmt.Sprint(ran); got != "[svc:a svc:b all:a all:b one:]" {
		t.Fatalf("at the start: %s", got)
	}
	ran = nil
	r.commit(store.CreateOp(meta.New[v1.Node]("n1")))
	r.rest()
	if got := fmt.Sprint(ran); got != "[all:a all:b one:]" {
		t.Errorf("after a new node: %s", got)
	}
	ran = nil
	r.commit(store.DeleteOp(r.service("a")))
	r.rest()
	if got := fmt.Sprint(ran); got != "[svc:a]" {
		t.Errorf("after a deletion: %s", got)
	}
	ran = nil
	r.commit(store.DeleteOp(r.service("b")))
	r.load() // the watch was lost: what vanished meanwhile is looked at, too
	r.step()
	if got := fmt.Sprint(ran); got != "[svc:b all:b one:]" {
		t.Errorf("after a lost watch: %s", got)
	}
}

// A store that was restored from a backup is behind what this engine wrote: it must not wait for that for ever.
func TestRestoredStore(t *testing.T) {
	runs := 0
	r := newRig(t, []meta.Object{service("web")}, labeler(func(tx *Tx, name string) (Result, error) {
		s, _ := Get[v1.Service](tx, name)
		runs++
		Modify(tx, s, ready(runs))
		return Result{}, nil
	}))
	r.step()
	r.Load([]meta.Object{service("web")}, 1)
	if r.step(); runs != 2 {
		t.Errorf("%d runs", runs)
	}
}

func TestEventsAreCountedAndBounded(t *testing.T) {
	again := 0
	r := newRig(t, []meta.Object{service("web")}, labeler(func(tx *Tx, name string) (Result, error) {
		s, _ := Get[v1.Service](tx, name)
		for i := range 30 {
			tx.Event(s, fmt.Sprintf("Reason%d", i), "for the %d. time", again)
		}
		tx.Warn(s, "Reason0", "twice in one run is once")
		again++
		return Result{}, nil
	}))
	r.Record = func(find func(meta.Key) (meta.Object, bool), source string, n Note, now time.Time) meta.Object {
		var old *v1.Event
		if o, ok := find(meta.Key{Kind: "Event", Name: v1.EventName(n.About, n.Reason)}); ok {
			old = o.(*v1.Event)
		}
		return v1.EventSpec{About: n.About, Reason: n.Reason, Source: source}.Again(old, n.Message, now)
	}
	for range 3 {
		r.Poke("labeler", "web")
		r.Kick()
		r.rest()
	}
	all, _, _ := r.mem.List(t.Context())
	if len(all) != 1+maxEvents {
		t.Fatalf("%d objects; one service and %d events are due", len(all), maxEvents)
	}
	for _, o := range all {
		if e, ok := o.(*v1.Event); ok && (e.Status.Count != again || e.Spec.Source != "labeler") {
			t.Errorf("%s: counted %d, runs %d, source %q", e.Key(), e.Status.Count, again, e.Spec.Source)
		}
	}
}

func TestFencedAndUnknown(t *testing.T) {
	for _, want := range []error{store.ErrFenced, store.ErrUnknown} {
		r := newRig(t, []meta.Object{service("web")}, labeler(func(tx *Tx, name string) (Result, error) {
			s, _ := Get[v1.Service](tx, name)
			Modify(tx, s, ready(1))
			return Result{}, nil
		}))
		r.Store = refusing{r.mem, want}
		if _, err := r.Step(t.Context()); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
}
