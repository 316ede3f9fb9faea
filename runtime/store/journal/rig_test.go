package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
)

var clusterKey = meta.Key{Kind: "Cluster", Name: v1.ClusterName}

func cluster(id string) *v1.Cluster {
	c := meta.New[v1.Cluster](v1.ClusterName)
	c.Spec.ID = id
	c.Spec.Default()
	return c
}

func task(name string) *v1.Task {
	t := meta.New[v1.Task](name)
	t.Spec.Service, t.Spec.Image, t.Spec.Node = "web", "registry.example.org/web:1.2", "n1"
	t.Spec.Default()
	t.Metadata.Finalizers = []string{"agent/tasks"}
	return t
}

// managers are a store elsewhere, and the way there.
type managers struct {
	*memstore.Store
	mu     sync.Mutex
	cut    context.Context // ends when the link is cut
	cutNow context.CancelFunc
	answer func(ops []store.Op) error // what a commit is answered with, after it was done
	refuse func(ops []store.Op) error // with what it is refused
}

func newManagers(objects ...meta.Object) *managers {
	m := &managers{Store: memstore.New(append([]meta.Object{cluster("c1")}, objects...)...)}
	m.heal()
	return m
}

func (m *managers) heal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cut, m.cutNow = context.WithCancel(context.Background())
}

func (m *managers) down() context.Context {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cut
}

var errCut = fmt.Errorf("cable is out: %w", store.ErrUnavailable)

// List implements store.Store.
func (m *managers) List(ctx context.Context) ([]meta.Object, store.Revision, error) {
	if m.down().Err() != nil {
		return nil, 0, errCut
	}
	return m.Store.List(ctx)
}

// Watch implements store.Store.
func (m *managers) Watch(ctx context.Context, after store.Revision) <-chan store.Batch {
	cut := m.down()
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(cut, cancel)
	return m.Store.Watch(ctx, after)
}

// Commit implements store.Store.
func (m *managers) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if m.down().Err() != nil {
		return 0, errCut
	}
	if m.refuse != nil {
		if err := m.refuse(ops); err != nil {
			return 0, err
		}
	}
	rev, err := m.Store.Commit(ctx, ops...)
	if m.answer != nil && err == nil {
		err = m.answer(ops)
	}
	return rev, err
}

// rig is a node with its managers.
type rig struct {
	*testing.T
	*managers
	node *Store
	dir  string
	stop func()
}

func newRig(t *testing.T, m *managers) *rig {
	r := &rig{T: t, managers: m, dir: t.TempDir()}
	r.start()
	return r
}

func (r *rig) config() Config {
	return Config{Dir: r.dir, Node: "n1", Cluster: "c1", Kinds: v1.Kinds, Remote: r.managers, Volatile: []string{"Event"}, Anchor: clusterKey, Log: logr.Discard(),
		Same: func(o meta.Object) error {
			if o.(*v1.Cluster).Spec.ID != "c1" {
				return errors.New("wrong id")
			}
			return nil
		}}
}

// start begins anew with what is on disk.
func (r *rig) start() {
	ctx, cancel := context.WithCancel(context.Background())
	node := Open(r.config())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		node.Run(ctx)
	}()
	r.node, r.stop = node, sync.OnceFunc(func() { cancel(); <-ended })
	r.T.Cleanup(r.stop)
}

func (r *rig) await(what string, ok func() bool) {
	r.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.Fatalf("not in time: %s", what)
		}
	}
}

// here and there are a task at the node and at the managers, nil if it is not.
func (r *rig) here(name string) *v1.Task  { return find(r.node, name) }
func (r *rig) there(name string) *v1.Task { return find(r.managers.Store, name) }

func find(s store.Store, name string) *v1.Task {
	o, err := s.Get(context.Background(), meta.Key{Kind: "Task", Name: name})
	if err != nil {
		return nil
	}
	return o.(*v1.Task)
}

// report changes the status of a task at the node.
func (r *rig) report(name string, restarts int) {
	r.Helper()
	t := meta.CloneOf(r.here(name))
	t.Status.Phase, t.Status.Ready, t.Status.Restarts = v1.TaskRunning, true, restarts
	if _, err := r.node.Commit(r.Context(), store.UpdateOp(t)); err != nil {
		r.Fatal(err)
	}
}

// change changes a task at the managers.
func (r *rig) change(name string, f func(*v1.Task)) {
	r.Helper()
	t := meta.CloneOf(r.there(name))
	f(t)
	if _, err := r.managers.Store.Commit(r.Context(), store.UpdateOp(t)); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) remove(name string) {
	r.Helper()
	if _, err := r.managers.Store.Commit(r.Context(), store.DeleteOp(r.there(name))); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) add(name string) {
	r.Helper()
	if _, err := r.managers.Store.Commit(r.Context(), store.CreateOp(task(name))); err != nil {
		r.Fatal(err)
	}
}
