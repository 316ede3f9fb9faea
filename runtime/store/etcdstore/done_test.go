package etcdstore_test

import (
	"errors"
	"testing"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/etcdstore"
)

// Every commit that is to write is told with its outcome; one that only asks is not.
func TestDone(t *testing.T) {
	var told []store.Outcome
	s := etcdstore.New(etcd(t), v1.Kinds, etcdstore.Options{Done: func(o store.Outcome) { told = append(told, o) }})
	web := service("web")
	commits := [][]store.Op{
		{store.CreateOp(web), store.CreateOp(service("api"))},
		{store.CreateOp(web)},
		{{Verb: store.Check, Key: web.Key(), Guard: store.Any}},
		{{Verb: store.Delete, Key: web.Key(), Guard: store.Any}},
	}
	for _, ops := range commits {
		_, _ = s.Commit(t.Context(), ops...)
	}
	if len(told) != 3 {
		t.Fatalf("told of %+v", told)
	}
	if o := told[0]; o.Ops != 2 || o.Bytes < 100 || o.Bytes > 2000 || o.Took <= 0 || o.Err != nil {
		t.Errorf("the first: %+v", o)
	}
	if o := told[1]; !errors.Is(o.Err, store.ErrConflict) {
		t.Errorf("a conflict: %+v", o)
	}
	if o := told[2]; o.Ops != 1 || o.Bytes != 0 || o.Err != nil {
		t.Errorf("a deletion: %+v", o)
	}
}
