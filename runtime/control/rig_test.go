package control

import (
	"context"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// actor is a controller made of a contract and a function.
type actor struct {
	contract Contract
	do       func(tx *Tx, name string) (Result, error)
}

func (a actor) Contract() Contract { return a.contract }

func (a actor) Reconcile(_ context.Context, tx *Tx, name string) (Result, error) {
	return a.do(tx, name)
}

// labeler works on services and may write their status.
func labeler(do func(tx *Tx, name string) (Result, error)) actor {
	return actor{Contract{Name: "labeler", Kind: "Service", Reads: []Input{{Kind: "Service"}, {Kind: "Task", Items: NoItems}},
		Writes: []string{"Service.status", "Task"}, Finalizer: []string{"Service"}}, do}
}

// rig drives an engine by hand.
type rig struct {
	t *testing.T
	*Engine
	mem  *memstore.Store
	now  time.Time
	sent store.Revision
	done []Outcome
}

func newRig(t *testing.T, objects []meta.Object, controllers ...Controller) *rig {
	t.Helper()
	r := &rig{t: t, mem: memstore.New(objects...), now: epoch}
	r.Engine = &Engine{Name: "test", Store: r.mem, Kinds: v1.Kinds, Controllers: controllers, Now: func() time.Time { return r.now },
		Log: logr.Discard(), Done: func(o Outcome) { r.done = append(r.done, o) }}
	r.load()
	return r
}

func (r *rig) load() {
	r.t.Helper()
	all, rev, err := r.mem.List(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	r.Load(all, rev)
	r.sent = rev
}

// arrive shows the engine what was committed meanwhile.
func (r *rig) arrive() {
	r.t.Helper()
	batches, err := r.mem.Since(r.sent)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, b := range batches {
		r.Apply(b)
		r.sent = b.Revision
	}
}

// step runs what is due, without anything arriving, and returns what ran.
func (r *rig) step() []Outcome {
	r.t.Helper()
	before := len(r.done)
	for range 1000 {
		ran, err := r.Step(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		if !ran {
			return r.done[before:]
		}
	}
	r.t.Fatal("does not come to rest")
	return nil
}

// rest lets commits arrive and runs until nothing is due.
func (r *rig) rest() []Outcome {
	r.t.Helper()
	before := len(r.done)
	for range 100 {
		if r.arrive(); len(r.step()) == 0 {
			return r.done[before:]
		}
	}
	r.t.Fatal("does not come to rest")
	return nil
}

func (r *rig) commit(ops ...store.Op) {
	r.t.Helper()
	if _, err := r.mem.Commit(r.t.Context(), ops...); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) service(name string) *v1.Service {
	r.t.Helper()
	o, err := r.mem.Get(r.t.Context(), meta.Key{Kind: "Service", Name: name})
	if err != nil {
		r.t.Fatal(err)
	}
	return o.(*v1.Service)
}

func service(name string) *v1.Service {
	s := meta.New[v1.Service](name)
	s.Spec.Image = "hello:1"
	s.SetDefaults()
	s.Metadata.Generation = 1
	return s
}

func task(name string, owner meta.Owner) *v1.Task {
	t := meta.New[v1.Task](name)
	t.Spec.Service, t.Spec.Image, t.Metadata.Owner = "web", "hello:1", owner
	t.SetDefaults()
	return t
}
