package control

import (
	"context"
	"fmt"
	"testing"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// refusing is a store that commits nothing.
type refusing struct {
	store.Store
	err error
}

func (r refusing) Commit(context.Context, ...store.Op) (store.Revision, error) { return 0, r.err }

func (r *rig) names(kind string) (out []string) {
	all, _, _ := r.mem.List(r.t.Context())
	for _, o := range all {
		if o.Key().Kind == kind {
			out = append(out, o.Key().Name)
		}
	}
	return out
}

func TestCollector(t *testing.T) {
	r := newRig(t, []meta.Object{service("web")}, Collector{Kinds: v1.Kinds})
	web := meta.OwnerOf(r.service("web"))
	older := web
	older.UID--
	held := task("held", web)
	held.Metadata.Finalizers = []string{"agent"}
	r.commit(store.CreateOp(task("a", web)), store.CreateOp(task("b", web)), store.CreateOp(held), store.CreateOp(task("free", meta.Owner{})),
		store.CreateOp(task("of-an-older-one", older)))
	r.rest()
	if got := fmt.Sprint(r.names("Task")); got != "[a b free held]" {
		t.Fatalf("while the owner is there: %s", got)
	}
	r.commit(store.DeleteOp(r.service("web")))
	r.commit(store.CreateOp(service("web"))) // another incarnation does not own them
	r.rest()
	if got := fmt.Sprint(r.names("Task")); got != "[free held]" {
		t.Errorf("when it is gone: %s", got)
	}
	o, _ := r.mem.Get(t.Context(), held.Key())
	if o.Meta().Deleted.IsZero() {
		t.Error("what is held is not marked")
	}
}

// What lost its owner while nobody looked is found at the start; more than fits into one commit goes in several.
func TestCollectorAtStart(t *testing.T) {
	var all []meta.Object
	for i := range store.MaxOps*2 + 7 {
		all = append(all, task(fmt.Sprintf("t%d", i), meta.Owner{Kind: "Service", Name: "gone", UID: 3}))
	}
	r := newRig(t, all, Collector{Kinds: v1.Kinds})
	for range 5 {
		r.rest()
		r.now = r.now.Add(1)
	}
	if got := r.names("Task"); len(got) != 0 {
		t.Errorf("%d are left", len(got))
	}
}
