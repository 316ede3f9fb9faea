package quorum

import (
	"errors"
	"testing"

	"github.com/go-logr/logr/testr"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// aged is an object as another store gave it.
func aged(name string, uid, rev int64) meta.Object {
	o := service(name)
	o.Metadata.UID, o.Metadata.Revision, o.Metadata.Generation = uid, rev, 3
	return o
}

func TestPlant(t *testing.T) {
	const base = 1_764_000_000_000
	config := Config{DataDir: t.TempDir() + "/etcd", Kinds: v1.Kinds, Log: testr.New(t)}
	config.defaults()
	all := []meta.Object{aged("a", 5, 5), aged("b", 5, 90), aged("c", 70, 90), aged("d", 91, 1200)}
	if err := Plant(t.Context(), config, all, base); err != nil {
		t.Fatal(err)
	}
	if err := Plant(t.Context(), config, all, base); err == nil {
		t.Error("a store is written over")
	}
	q, err := open(t, config)
	if err != nil {
		t.Fatal(err)
	}
	b, err := q.Store().Get(t.Context(), all[1].Key())
	if err != nil || b.Meta().UID != 5 || b.Meta().Revision != 90 || b.Meta().Generation != 3 {
		t.Fatalf("%+v %v", b, err)
	}
	if batch := <-q.Store().Watch(t.Context(), 1000); !errors.Is(batch.Err, store.ErrCompacted) {
		t.Errorf("a watcher from before: %+v", batch)
	}
	later := q.Store().Watch(t.Context(), base)
	if rev := commit(t, q.Store(), store.UpdateOp(b)); rev != base+1 {
		t.Errorf("the next commit is %d", rev)
	}
	if batch := <-later; batch.Revision != base+1 || len(batch.Changes) != 1 {
		t.Errorf("watch: %+v", batch)
	}
	if _, err := q.Store().Commit(t.Context(), store.UpdateOp(b)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("an old guard: %v", err)
	}
	if rev := commit(t, q.Store(), store.DeleteOp(all[3]), store.CreateOp(service("new"))); rev != base+2 {
		t.Errorf("revision %d", rev)
	}
	if err := q.compact(t.Context(), base+2); err != nil {
		t.Error(err)
	}
	q.Close()
	if q, err = open(t, config); err != nil {
		t.Fatal(err)
	}
	have, rev, err := q.Store().List(t.Context())
	if err != nil || len(have) != 4 || rev != base+2 || have[3].Meta().UID != base+2 {
		t.Errorf("after a restart: %d at %d, %v", len(have), rev, err)
	}
}

func TestPlantRefuses(t *testing.T) {
	config := Config{DataDir: t.TempDir() + "/etcd", Kinds: v1.Kinds, Log: testr.New(t)}
	config.defaults()
	if err := Plant(t.Context(), config, []meta.Object{aged("a", 5, 50)}, 49); err == nil {
		t.Error("a revision before that of an object")
	}
	config.DataDir += "2"
	if err := Plant(t.Context(), config, []meta.Object{service("a")}, 49); err == nil {
		t.Error("an object without a uid")
	}
}
