package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func service(name, image string) *v1.Service {
	s := meta.New[v1.Service](name)
	s.Spec.Image = image
	return s
}

// put writes whatever is there.
func put(o meta.Object) store.Op {
	return store.Op{Verb: store.Put, Key: o.Key(), Object: o, Guard: store.Any}
}

func remove(kind, name string) store.Op {
	return store.Op{Verb: store.Delete, Key: meta.Key{Kind: kind, Name: name}, Guard: store.Any}
}

// door is an admitting store and the one behind it.
func door(objects ...meta.Object) (store.Store, *memstore.Store) {
	mem := memstore.New(objects...)
	return store.Admit(mem, v1.Kinds, func() time.Time { return noon }), mem
}

func commit(t *testing.T, s store.Store, ops ...store.Op) {
	t.Helper()
	if _, err := s.Commit(t.Context(), ops...); err != nil {
		t.Fatal(err)
	}
}

func web(t *testing.T, s store.Store) *v1.Service {
	t.Helper()
	o, err := s.Get(t.Context(), meta.Key{Kind: "Service", Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	return o.(*v1.Service)
}

// A new object gets its defaults; what belongs to the system is the system's, whatever is written there.
func TestAdmitCreation(t *testing.T) {
	in, _ := door()
	s := service("web", "hello:1")
	s.Metadata.UID, s.Metadata.Generation, s.Metadata.Created = 99, 99, noon.Add(-time.Hour)
	s.Metadata.Finalizers, s.Metadata.Owner, s.Metadata.Deleted = []string{"mine"}, meta.Owner{Kind: "Service", Name: "x", UID: 1}, noon
	s.Metadata.Labels = map[string]string{"app": "web"}
	s.Status.Ready, s.Status.Count = 5, 5
	commit(t, in, put(s))
	got := web(t, in)
	m := got.Metadata
	if *got.Spec.Replicas != 1 || got.Spec.Restart.Policy != v1.RestartAlways {
		t.Errorf("without defaults: %+v", got.Spec)
	}
	if m.UID == 99 || m.Generation != 1 || !m.Created.Equal(noon) || !m.Deleted.IsZero() || len(m.Finalizers) > 0 || m.Owner != (meta.Owner{}) {
		t.Errorf("metadata came from the user: %+v", m)
	}
	if m.Labels["app"] != "web" {
		t.Error("the user's labels are lost")
	}
	if got.Status.Ready != 0 || got.Status.Count != 0 {
		t.Errorf("status came from the user: %+v", got.Status)
	}
	if s.Metadata.UID != 99 || s.Spec.Replicas != nil {
		t.Error("the writer's own object was changed")
	}
}

func TestAdmitChange(t *testing.T) {
	in, mem := door()
	commit(t, in, put(service("web", "hello:1")))
	first := web(t, in)
	reported := first.Clone().(*v1.Service)
	reported.Status.Ready, reported.Metadata.Finalizers = 1, []string{"someone"}
	commit(t, mem, store.UpdateOp(reported))

	commit(t, in, put(service("web", "hello:1"))) // the same spec
	if got := web(t, in); got.Metadata.Generation != 1 || got.Status.Ready != 1 || len(got.Metadata.Finalizers) != 1 {
		t.Errorf("writing the same changed %+v %+v", got.Metadata, got.Status)
	}
	commit(t, in, put(service("web", "hello:2")))
	got := web(t, in)
	if got.Metadata.Generation != 2 || got.Metadata.UID != first.Metadata.UID || got.Status.Ready != 1 || got.Spec.Image != "hello:2" {
		t.Errorf("%+v", got)
	}
}

func TestAdmitRefuses(t *testing.T) {
	node := meta.New[v1.Node]("n1")
	other := meta.Key{Kind: "Service", Name: "other"}
	big := service("web", "hello:1")
	for i := range 1000 {
		big.Spec.Args = append(big.Spec.Args, strings.Repeat("x", 300)+fmt.Sprint(i))
	}
	for _, c := range []struct {
		name string
		op   store.Op
		want error
		text string
	}{
		{"an invalid object", put(service("web", "NOT AN IMAGE")), nil, "spec.image"},
		{"a bad name", put(service("Web", "hello:1")), nil, "metadata.name"},
		{"to make a node", put(meta.New[v1.Node]("n2")), store.ErrForbidden, "Node/n2"},
		{"a kind of the system", put(meta.New[v1.Event]("n2")), store.ErrForbidden, "Event/n2"},
		{"to create a task", put(meta.New[v1.Task]("t")), store.ErrForbidden, "Task/t"},
		{"to delete a node", remove("Node", "n1"), store.ErrForbidden, "Node/n1"},
		{"an unknown kind", remove("Tusk", "t"), store.ErrForbidden, "unknown kind"},
		{"to delete nothing", remove("Service", "web"), store.ErrNotFound, "Service/web"},
		{"another name", store.Op{Verb: store.Put, Key: other, Object: service("web", "hello:1"), Guard: store.Any}, store.ErrForbidden, "Service/other"},
		{"no object", store.Op{Verb: store.Put, Key: other, Guard: store.Any}, store.ErrForbidden, "Service/other"},
		{"too much", put(big), store.ErrTooLarge, "bytes"},
		{"what exists", store.CreateOp(service("there", "hello:1")), store.ErrConflict, "exists already"},
		{"a change of what is gone", store.Op{Verb: store.Put, Key: service("gone", "").Key(), Object: service("gone", "hello:1"), Guard: 7}, store.ErrConflict, "is gone"},
	} {
		in, mem := door(node, service("there", "hello:1"))
		good := put(service("good", "hello:1"))
		_, err := in.Commit(t.Context(), good, c.op)
		var invalid *store.InvalidError
		if err == nil || c.want != nil && !errors.Is(err, c.want) || c.want == nil && !errors.As(err, &invalid) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := mem.Get(t.Context(), good.Key); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: half of the commit was applied", c.name)
		}
	}
}

// All that is wrong is told at once.
// People write what they want of a node, and neither what it is nor whether it is.
func TestAdmitWishesOfANode(t *testing.T) {
	node := meta.New[v1.Node]("n1")
	node.Status.State = v1.NodeReady
	in, mem := door(node)
	wish := meta.New[v1.Node]("n1")
	wish.Spec.Unschedulable, wish.Spec.Drain, wish.Status.State = true, v1.DrainGentle, v1.NodeDown
	wish.Metadata.Labels = map[string]string{"zone": "a"}
	commit(t, in, put(wish))
	o, _ := mem.Get(t.Context(), wish.Key())
	if n := o.(*v1.Node); n.Spec != wish.Spec || n.Status.State != v1.NodeReady || n.Metadata.Labels["zone"] != "a" || n.Metadata.Generation != 1 {
		t.Errorf("%+v", n)
	}
	wish.Spec.Unschedulable = false
	if _, err := in.Commit(t.Context(), put(wish)); err == nil || !strings.Contains(err.Error(), "spec.unschedulable") {
		t.Errorf("drained and open: %v", err)
	}
}

func TestAdmitTellsAll(t *testing.T) {
	in, _ := door()
	_, err := in.Commit(t.Context(), put(service("a", "BAD IMAGE")), put(service("b", "")), put(meta.New[v1.Node]("n")))
	for _, want := range []string{"Service/a", "Service/b", "Node/n"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not tell of %s", err, want)
		}
	}
	ops := make([]store.Op, store.MaxUserOps+1)
	if _, err := in.Commit(t.Context(), ops...); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("%d operations: %v", len(ops), err)
	}
}

func TestAdmitDeletion(t *testing.T) {
	task := meta.New[v1.Task]("t")
	task.Metadata.Finalizers = []string{"agent"}
	in, mem := door(task, service("web", "hello:1"))
	commit(t, in, remove("Task", "t"), remove("Service", "web"))
	if _, err := mem.Get(t.Context(), service("web", "").Key()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a service that nobody holds: %v", err)
	}
	held, err := mem.Get(t.Context(), task.Key())
	if err != nil || !held.Meta().Deleted.Equal(noon) {
		t.Fatalf("a task that its agent holds: %v %+v", err, held)
	}
	later := store.Admit(mem, v1.Kinds, func() time.Time { return noon.Add(time.Hour) })
	commit(t, later, remove("Task", "t"))
	if again, _ := mem.Get(t.Context(), task.Key()); !again.Meta().Deleted.Equal(noon) {
		t.Error("deleting it again moved the time")
	}
}

func TestAdmitLeavesWhatIsBeingDeletedAlone(t *testing.T) {
	s := service("web", "hello:1")
	s.Metadata.Finalizers, s.Metadata.Deleted = []string{"someone"}, noon
	in, _ := door(s)
	if _, err := in.Commit(t.Context(), put(service("web", "hello:2"))); !errors.Is(err, store.ErrConflict) {
		t.Errorf("%v", err)
	}
}

// busy lets somebody else write between the look and the commit, so often.
type busy struct {
	*memstore.Store
	times int
}

func (b *busy) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if b.times > 0 {
		b.times--
		o, err := b.Get(ctx, meta.Key{Kind: "Service", Name: "web"})
		if err != nil {
			return 0, err
		}
		n := o.Clone().(*v1.Service)
		n.Status.Ready++
		if _, err := b.Store.Commit(ctx, store.UpdateOp(n)); err != nil {
			return 0, err
		}
	}
	return b.Store.Commit(ctx, ops...)
}

// Who does not care what is there does not hear of a status that changed under him, and does not undo it.
func TestAdmitTriesAgain(t *testing.T) {
	for _, c := range []struct {
		times int
		guard func(*v1.Service) store.Revision
		want  error
	}{
		{3, func(*v1.Service) store.Revision { return store.Any }, nil},
		{1, func(s *v1.Service) store.Revision { return s.Metadata.Revision }, store.ErrConflict},
		{100, func(*v1.Service) store.Revision { return store.Any }, store.ErrConflict},
	} {
		mem := &busy{Store: memstore.New(service("web", "hello:1")), times: c.times}
		in := store.Admit(mem, v1.Kinds, func() time.Time { return noon })
		op := put(service("web", "hello:2"))
		op.Guard = c.guard(web(t, mem))
		_, err := in.Commit(t.Context(), op)
		if !errors.Is(err, c.want) {
			t.Errorf("after %d writes of another: %v, want %v", c.times, err, c.want)
		}
		if got := web(t, mem); c.want == nil && (got.Status.Ready != c.times || got.Spec.Image != "hello:2") {
			t.Errorf("after %d writes of another: %+v", c.times, got)
		}
	}
}

func TestAdmitPassesChecks(t *testing.T) {
	in, mem := door(meta.New[v1.Node]("n1"))
	n, _ := mem.Get(t.Context(), meta.Key{Kind: "Node", Name: "n1"})
	check := store.Op{Verb: store.Check, Key: n.Key(), Guard: n.Meta().Revision}
	commit(t, in, check, put(service("web", "hello:1")))
	check.Guard++
	if _, err := in.Commit(t.Context(), check, put(service("web", "hello:2"))); !errors.Is(err, store.ErrConflict) {
		t.Errorf("%v", err)
	}
}
