package store_test

import (
	"errors"
	"testing"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
)

// ofN1 sees tasks of n1 and writes their status.
var ofN1 = store.Rights{
	Kinds: []string{"Task"},
	Fixed: []string{"Task"},
	Shows: func(o meta.Object) meta.Object {
		if onNode("n1")(o) {
			return o
		}
		return nil
	},
	Writes: func(old, new meta.Object, _ func(meta.Key) (meta.Object, error)) error {
		if old == nil || new == nil || !onNode("n1")(old) || meta.SpecChanged(old, new) {
			return errors.New("it is not its own")
		}
		return nil
	},
}

func TestScope(t *testing.T) {
	mem := memstore.New(task("a", "n1"), task("b", "n2"), service("web", "hello:1"))
	s := store.Scope(mem, ofN1)
	all, rev, err := s.List(t.Context())
	if err != nil || rev != 2 || len(all) != 1 || all[0].Key().Name != "a" {
		t.Errorf("list: %v at %d, %v", all, rev, err)
	}
	for _, k := range []meta.Key{{Kind: "Task", Name: "b"}, {Kind: "Service", Name: "web"}, {Kind: "Task", Name: "none"}} {
		if _, err := s.Get(t.Context(), k); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("get %s: %v", k, err)
		}
	}
	a := all[0].Clone().(*v1.Task)
	a.Status.PID = 1
	check := func(name string, guard store.Revision) store.Op {
		return store.Op{Verb: store.Check, Key: meta.Key{Kind: "Task", Name: name}, Guard: guard}
	}
	anyway := store.Op{Verb: store.Put, Key: a.Key(), Object: a, Guard: store.Any}
	b := task("b", "n2")
	for what, x := range map[string]struct {
		op   store.Op
		want error
	}{
		"its own":                   {store.UpdateOp(a), nil},
		"whatever is there":         {anyway, nil},
		"its own, seen":             {check("a", a.Metadata.Revision), nil},
		"a gap, seen":               {check("c", store.Absent), nil},
		"another's":                 {store.Op{Verb: store.Put, Key: b.Key(), Object: b, Guard: store.Any}, store.ErrForbidden},
		"another's, looked for":     {check("b", store.Any), store.ErrForbidden},
		"another kind":              {store.Op{Verb: store.Check, Key: meta.Key{Kind: "Service", Name: "web"}, Guard: store.Any}, store.ErrForbidden},
		"under another's name":      {store.Op{Verb: store.Put, Key: a.Key(), Object: b, Guard: store.Any}, store.ErrForbidden},
		"its own, gone":             {store.DeleteOp(a), store.ErrForbidden},
		"what is not there, gone":   {store.Op{Verb: store.Delete, Key: meta.Key{Kind: "Task", Name: "c"}, Guard: store.Absent}, nil},
		"a new one":                 {store.CreateOp(task("c", "n1")), store.ErrForbidden},
		"of a past that is no more": {store.Op{Verb: store.Put, Key: a.Key(), Object: a, Guard: 99}, store.ErrConflict},
		"new over what is there":    {store.CreateOp(a), store.ErrConflict},
	} {
		fresh := memstore.New(task("a", "n1"), task("b", "n2"), service("web", "hello:1"))
		if _, err := store.Scope(fresh, ofN1).Commit(t.Context(), x.op); !errors.Is(err, x.want) {
			t.Errorf("%s: %v, want %v", what, err, x.want)
		}
	}
}
