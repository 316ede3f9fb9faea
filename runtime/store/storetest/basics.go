package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

func (s *suite) empty() {
	all, rev := s.list()
	if len(all) != 0 {
		s.Fatalf("a new store holds %d objects", len(all))
	}
	if rev < 1 {
		s.Fatalf("a new store is at revision %d; 0 means absent and cannot be one", rev)
	}
	s.missing(keyOf("Service", "web"))
}

// getWhatWasPut: all fields come back as they went in, but for uid and revision, which are the store's.
func (s *suite) getWhatWasPut() {
	in := service("web")
	m := in.Meta()
	m.Labels = map[string]string{"app": "web", "tier": "front"}
	m.Annotations = map[string]string{"note": "two words, \"quotes\" and ünicode <&>"}
	m.Generation = 7
	m.Created = time.Date(2030, 1, 2, 3, 4, 5, 678, time.UTC)
	m.Finalizers = []string{"volumes"}
	m.Owner = meta.Owner{Kind: "Cluster", Name: "warren", UID: 3}
	m.UID, m.Revision = 99999, 88888
	in.Spec.Args = []string{"-c", ""}
	in.Status.Conditions = meta.Conditions{{Type: "Available", Status: meta.True}}
	rev := s.commit(store.CreateOp(in))

	want := in.Clone()
	want.Meta().UID, want.Meta().Revision = rev, rev
	got := s.get(in.Key())
	if text(got) != text(want) {
		s.Fatalf("got\n  %s, want\n  %s", text(got), text(want))
	}
	if _, ok := got.(*v1.Service); !ok {
		s.Fatalf("got a %T", got)
	}
}

func (s *suite) listInOrder() {
	names := []string{"b", "a-1", "a", "a.1", "a0", "ab", "z"}
	for _, n := range names {
		s.commit(store.CreateOp(task(n, "")), store.CreateOp(service(n)))
	}
	rev := s.commit(store.CreateOp(meta.New[v1.Node]("n1")))
	all, at := s.list()
	if at != rev {
		s.Fatalf("list is at revision %d, want %d", at, rev)
	}
	if len(all) != 2*len(names)+1 {
		s.Fatalf("list has %d objects", len(all))
	}
	sorted := slices.IsSortedFunc(all, func(a, b meta.Object) int {
		if meta.Less(a.Key(), b.Key()) {
			return -1
		}
		return 1
	})
	if !sorted {
		s.Fatal("list is not in order of kind and name")
	}
}

// listLarge: more objects than fit one page of anything, read while they change, are of one revision.
// pack: what is listed as JSON is what is listed, at one revision.
func (s *suite) pack() {
	t := task("web-1", "n0")
	t.Metadata.Labels = map[string]string{"metadata": `{"metadata":{`}
	s.commit(store.CreateOp(t), store.CreateOp(task("web-2", "n0")), store.CreateOp(meta.New[v1.Node]("n0")), store.CreateOp(meta.New[v1.Service]("web")))
	last := s.commit(store.CreateOp(task("web-3", "n0")))
	all, _ := s.list()
	for _, kinds := range [][]string{nil, {"Task"}, {"Task", "Node"}, {"Task", "Task"}, {"Volume"}} {
		packed, rev, err := store.Pack(s.Context(), s.Store, kinds...)
		if err != nil || rev != last {
			s.Fatalf("pack %v: revision %d, want %d: %v", kinds, rev, last, err)
		}
		for _, o := range all {
			if len(kinds) > 0 && !slices.Contains(kinds, o.Key().Kind) {
				continue
			}
			if len(packed) == 0 || packed[0].Key != o.Key() {
				s.Fatalf("pack %v: %s is missing", kinds, o.Key())
			}
			same, err := v1.Kinds.Decode(packed[0].JSON)
			if err != nil || text(same) != text(o) {
				s.Fatalf("pack %v: got %s (%v), want %+v", kinds, packed[0].JSON, err, o)
			}
			packed = packed[1:]
		}
		if len(packed) > 0 {
			s.Fatalf("pack %v: %s is too much", kinds, packed[0].Key)
		}
	}
}

func (s *suite) listLarge() {
	const groups, size = 25, 100
	for g := range groups {
		ops := make([]store.Op, size)
		for i := range ops {
			ops[i] = store.CreateOp(task(fmt.Sprintf("t-%d-%d", g, i), "n0"))
		}
		s.commit(ops...)
	}
	stop := s.flip()
	defer stop()
	for range 5 {
		all, _ := s.list()
		if len(all) != groups*size {
			s.Fatalf("list has %d objects, want %d", len(all), groups*size)
		}
		first := s.node(all, "t-0-0")
		if last := s.node(all, "t-9-99"); first != last {
			s.Fatalf("list mixes revisions: the first object says %s, the last %s", first, last)
		}
	}
}

// flip changes two objects far apart together, again and again, until stopped.
func (s *suite) flip() (stop func()) {
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 1; ctx.Err() == nil; i++ {
			n := fmt.Sprintf("n%d", i)
			ops := []store.Op{
				{Verb: store.Put, Key: keyOf("Task", "t-0-0"), Object: task("t-0-0", n), Guard: store.Any},
				{Verb: store.Put, Key: keyOf("Task", "t-9-99"), Object: task("t-9-99", n), Guard: store.Any},
			}
			if _, err := s.Commit(ctx, ops...); err != nil && ctx.Err() == nil {
				s.Errorf("commit: %v", err)
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}

func (s *suite) node(all []meta.Object, name string) string {
	for _, o := range all {
		if o.Key().Name == name {
			return o.(*v1.Task).Spec.Node
		}
	}
	s.Fatalf("%s is not in the list", name)
	return ""
}

// revisions: they grow with each commit; uid is that of the creation, revision that of the last change.
func (s *suite) revisions() {
	last := s.head()
	grow := func(rev store.Revision) store.Revision {
		s.Helper()
		if rev <= last {
			s.Fatalf("revision %d after %d", rev, last)
		}
		last = rev
		return rev
	}
	expect := func(uid, rev store.Revision) *v1.Service {
		s.Helper()
		o := s.get(keyOf("Service", "web")).(*v1.Service)
		if m := o.Meta(); m.UID != uid || m.Revision != rev {
			s.Fatalf("uid %d revision %d, want %d and %d", m.UID, m.Revision, uid, rev)
		}
		return o
	}
	made := grow(s.commit(store.CreateOp(service("web"))))
	o := expect(made, made)
	changed := grow(s.commit(store.UpdateOp(o)))
	o = expect(made, changed)
	grow(s.commit(store.CreateOp(service("other"))))
	o = expect(made, changed)
	grow(s.commit(store.DeleteOp(o)))
	again := grow(s.commit(store.CreateOp(service("web"))))
	expect(again, again)
}

// callerKeepsItsObject: what the caller does to its object after a commit does not reach the store.
func (s *suite) callerKeepsItsObject() {
	o := service("web")
	o.Meta().Labels = map[string]string{"a": "1"}
	w := s.watch(s.head())
	s.commit(store.CreateOp(o))
	if m := o.Meta(); m.UID != 0 || m.Revision != 0 {
		s.Fatalf("commit wrote uid %d and revision %d into the caller's object", m.UID, m.Revision)
	}
	o.Meta().Labels["a"] = "2"
	o.Spec.Image = "changed"
	seen := s.next(w).Changes[0].Object
	for _, x := range []meta.Object{s.get(o.Key()), seen} {
		if x.Meta().Labels["a"] != "1" || x.(*v1.Service).Spec.Image != "hello:1" {
			s.Fatalf("the store changed with the caller's object: %s", text(x))
		}
	}
}

func (s *suite) hundredOps() {
	w := s.watch(s.head())
	ops := make([]store.Op, store.MaxOps)
	for i := range ops {
		ops[i] = store.CreateOp(task(fmt.Sprintf("t-%03d", i), ""))
	}
	rev := s.commit(ops...)
	all, _ := s.list()
	if len(all) != store.MaxOps {
		s.Fatalf("list has %d objects", len(all))
	}
	b := s.next(w)
	if b.Revision != rev || len(b.Changes) != store.MaxOps {
		s.Fatalf("batch at %d has %d changes, want %d at %d", b.Revision, len(b.Changes), store.MaxOps, rev)
	}
	for i, o := range all {
		if o.Meta().Revision != rev {
			s.Fatalf("object %d has revision %d, want %d", i, o.Meta().Revision, rev)
		}
		ops[i] = store.DeleteOp(o)
	}
	s.commit(ops...)
}

// tooLarge: an object beyond the limit is refused with its name; one just below is taken, as is a commit of many such.
func (s *suite) tooLarge() {
	big := service("big")
	big.Meta().Annotations = map[string]string{"x": strings.Repeat("x", store.MaxObject)}
	err := s.refuse(store.ErrTooLarge, store.CreateOp(service("web")), store.CreateOp(big))
	if !strings.Contains(err.Error(), "Service/big") {
		s.Fatalf("the error does not name the object: %v", err)
	}
	s.missing(keyOf("Service", "web"))
	big.Meta().Annotations["x"] = strings.Repeat("x", store.MaxObject-4096)
	s.commit(store.CreateOp(big))
	if got := s.get(big.Key()); got.Meta().Annotations["x"] != big.Meta().Annotations["x"] {
		s.Fatal("a large object came back changed")
	}
}

func (s *suite) endedContext() {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	if _, err := s.Commit(ctx, store.CreateOp(service("web"))); err == nil {
		s.Fatal("a commit with an ended context was accepted")
	}
	s.missing(keyOf("Service", "web"))
}
