package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
)

func onNode(node string) func(meta.Object) bool {
	return func(o meta.Object) bool { t, ok := o.(*v1.Task); return ok && t.Spec.Node == node }
}

func task(name, node string) *v1.Task {
	t := meta.New[v1.Task](name)
	t.Spec.Node = node
	return t
}

func TestViewReads(t *testing.T) {
	mem := memstore.New(task("a", "n1"), task("b", "n2"), service("web", "hello:1"))
	v := store.View(mem, onNode("n1"))
	all, rev, err := v.List(t.Context())
	if err != nil || rev != 2 || len(all) != 1 || all[0].Key().Name != "a" {
		t.Errorf("list: %v at %d, %v", all, rev, err)
	}
	if _, err := v.Get(t.Context(), meta.Key{Kind: "Task", Name: "a"}); err != nil {
		t.Error(err)
	}
	for _, k := range []meta.Key{{Kind: "Task", Name: "b"}, {Kind: "Service", Name: "web"}, {Kind: "Task", Name: "none"}} {
		if _, err := v.Get(t.Context(), k); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("get %s: %v", k, err)
		}
	}
}

// packing is a store that can pack, and has packed all there is.
type packing struct{ store.Store }

func (p packing) Pack(ctx context.Context, kinds ...string) ([]store.Packed, store.Revision, error) {
	return store.Pack(ctx, p.Store, kinds...)
}

// Who sees a part of a store gets no more as JSON. Who sees all of it gets it from the store itself.
func TestViewPacks(t *testing.T) {
	inner := packing{memstore.New(task("a", "n1"), task("b", "n2"))}
	late := store.NewLate("")
	late.Open(store.Admit(store.View(inner, onNode("n1")), v1.Kinds, time.Now))
	if all, _, err := store.Pack(t.Context(), late); err != nil || len(all) != 1 || all[0].Key.Name != "a" {
		t.Errorf("%v, %v", all, err)
	}
	if _, ok := store.View(inner, onNode("n1")).(store.Packer); ok {
		t.Error("a view packs past itself")
	}
	if all, _, err := store.Pack(t.Context(), store.Admit(inner, v1.Kinds, time.Now), "Task", "Node"); err != nil || len(all) != 2 {
		t.Errorf("%v, %v", all, err)
	}
	late.Explain("gone")
	if _, _, err := late.Pack(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Error(err)
	}
}

// What leaves the view looks deleted, what enters it looks new, and every commit comes, even if nothing of it is seen.
func TestViewWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		mem := memstore.New(task("a", ""))
		watch := store.View(mem, onNode("n1")).Watch(ctx, 2)
		for _, step := range []struct {
			write meta.Object
			want  string
		}{
			{task("a", "n1"), "3 Task/a n1"},
			{service("web", "hello:1"), "4 Service/web gone"},
			{task("a", "n2"), "5 Task/a gone"},
			{task("b", "n1"), "6 Task/b n1"},
		} {
			commit(t, mem, put(step.write))
			b := <-watch
			got := fmt.Sprint(b.Revision)
			for _, c := range b.Changes {
				if got += " " + c.Key.String(); c.Object == nil {
					got += " gone"
				} else {
					got += " " + c.Object.(*v1.Task).Spec.Node
				}
			}
			if got != step.want {
				t.Errorf("%s, want %s", got, step.want)
			}
		}
		commit(t, mem, put(task("c", "n1"))) // nobody takes it
		synctest.Wait()
		cancel()
		synctest.Wait()
		if _, open := <-watch; open {
			t.Error("the channel is still open")
		}
	})
}

// The end of a watch and its reason pass.
func TestViewPassesErrors(t *testing.T) {
	mem := memstore.New(task("a", "n1"))
	commit(t, mem, put(task("b", "n1")))
	mem.Compact()
	watch := store.View(mem, onNode("n1")).Watch(t.Context(), 1)
	if b := <-watch; !errors.Is(b.Err, store.ErrCompacted) {
		t.Errorf("%+v", b)
	}
	if _, open := <-watch; open {
		t.Error("the channel is still open")
	}
}

func TestViewPassesCommits(t *testing.T) {
	mem := memstore.New()
	commit(t, store.View(mem, onNode("n1")), put(service("web", "hello:1")))
	if _, err := mem.Get(t.Context(), meta.Key{Kind: "Service", Name: "web"}); err != nil {
		t.Error(err)
	}
}
