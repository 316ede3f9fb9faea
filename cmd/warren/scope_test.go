package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/controllers/agent/tasks"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
)

// fleet is what a worker w1 must not come near to, and what is its own.
func fleet() *memstore.Store {
	cluster := meta.New[v1.Cluster](v1.ClusterName)
	cluster.Spec.ID = "c"
	mine, other := aTask("web-1-1", "w1"), aTask("web-2-2", "w2")
	mine.Metadata.Finalizers = []string{tasks.Name, "volumes"}
	web := meta.New[v1.Service]("web")
	web.Spec.Image = "web:1"
	web.Spec.Env = v1.Env{{Name: "PASSWORD", Value: "s3cr3t"}}
	web.Status.PreviousImages = []string{"sha256:old"}
	token := meta.New[v1.Token]("aaaaaaaa")
	return memstore.New(cluster, mine, other, aTask("web-3-3", ""), web, token, meta.New[v1.Node]("w1"), meta.New[v1.Node]("w2"), meta.New[v1.User]("anna"),
		anEvent("w1", "Task", "web-1-1"), anEvent("w2", "Task", "web-2-2"), anEvent("", "Service", "web"))
}

func aTask(name, node string) *v1.Task {
	t := meta.New[v1.Task](name)
	t.Spec.Service, t.Spec.Node, t.Spec.Image = "web", node, "web:1"
	t.Metadata.Finalizers = []string{tasks.Name}
	return t
}

func anEvent(node, kind, name string) *v1.Event {
	spec := v1.EventSpec{About: meta.Key{Kind: kind, Name: name}, Reason: "Started", Source: tasks.Name, Node: node}
	return spec.Again(nil, "x", time.Unix(1, 0).UTC())
}

func asWorker() (*memstore.Store, store.Store) {
	mem := fleet()
	return mem, store.Scope(mem, workerRights("w1"))
}

func TestWorkerSeesItsOwn(t *testing.T) {
	_, w := asWorker()
	all, _, err := w.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range all {
		got = append(got, o.Key().String())
		data, err := meta.Encode(o)
		if err != nil || strings.Contains(string(data), "s3cr3t") {
			t.Errorf("%s: %s %v", o.Key(), data, err)
		}
	}
	if want := "Cluster/warren Event/task.web-1-1.started Node/w1 Service/web Task/web-1-1"; strings.Join(got, " ") != want {
		t.Errorf("it sees %q, want %q", got, want)
	}
	o, err := w.Get(t.Context(), meta.Key{Kind: "Service", Name: "web"})
	if err != nil || o.(*v1.Service).Spec.Image != "web:1" || len(o.(*v1.Service).Status.PreviousImages) != 1 {
		t.Errorf("the images of a service: %+v, %v", o, err)
	}
	for _, k := range []meta.Key{{Kind: "Task", Name: "web-2-2"}, {Kind: "Task", Name: "web-3-3"}, {Kind: "Node", Name: "w2"}, {Kind: "Token", Name: "aaaaaaaa"}, {Kind: "User", Name: "anna"},
		{Kind: "Event", Name: "task.web-2-2.started"}, {Kind: "Event", Name: "service.web.started"}} {
		if o, err := w.Get(t.Context(), k); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("it reads %s: %v %v", k, o, err)
		}
	}
}

func TestWorkerWatchesItsOwn(t *testing.T) {
	mem, w := asWorker()
	_, rev, _ := mem.List(t.Context())
	batches := w.Watch(t.Context(), rev)
	for _, name := range []string{"web-2-2", "web-3-3", "web-1-1"} {
		change(t, mem, meta.Key{Kind: "Task", Name: name}, func(o *v1.Task) { o.Status.Message = "x" })
	}
	change(t, mem, meta.Key{Kind: "Task", Name: "web-3-3"}, func(o *v1.Task) { o.Spec.Node = "w1" })
	change(t, mem, meta.Key{Kind: "Token", Name: "aaaaaaaa"}, func(o *v1.Token) { o.Status.Used = 1 })
	change(t, mem, meta.Key{Kind: "Task", Name: "web-1-1"}, func(o *v1.Task) { o.Status.Message = "end" })
	var seen []string
	for b := range batches {
		for _, c := range b.Changes {
			seen = append(seen, c.Key.Name)
			if c.Object != nil && c.Object.(*v1.Task).Status.Message == "end" {
				if got := strings.Join(seen, " "); got != "web-1-1 web-3-3 web-1-1" {
					t.Errorf("it saw changes of %s", got)
				}
				return
			}
		}
	}
	t.Error("the watch ended")
}

// change writes an object that the test changed.
func change[R any, P meta.Ptr[R]](t *testing.T, s store.Store, key meta.Key, f func(P)) {
	t.Helper()
	o, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	n := o.Clone().(P)
	f(n)
	if _, err := s.Commit(t.Context(), store.UpdateOp(n)); err != nil {
		t.Fatal(err)
	}
}

// attempt is a write that a worker tries.
type attempt struct {
	key    meta.Key
	change func(meta.Object)
	guard  store.Revision // 0: that of what is there
}

func (a attempt) op(mem *memstore.Store) store.Op {
	kind, _ := v1.Kinds.ByName(a.key.Kind)
	o, err := mem.Get(context.Background(), a.key)
	if err != nil {
		o = kind.New()
		o.Meta().Name = a.key.Name
	}
	if a.change == nil {
		return store.Op{Verb: store.Delete, Key: a.key, Guard: o.Meta().Revision}
	}
	n := o.Clone()
	a.change(n)
	op := store.UpdateOp(n)
	if a.guard != 0 {
		op.Guard = a.guard
	}
	return op
}

func TestWorkerWritesWhatItsAgentsDeclare(t *testing.T) {
	for what, a := range map[string]attempt{
		"status of its task": {key: meta.Key{Kind: "Task", Name: "web-1-1"}, change: func(o meta.Object) {
			o.(*v1.Task).Status.Phase, o.(*v1.Task).Status.PID = v1.TaskRunning, 7
		}},
		"status of its node": {key: meta.Key{Kind: "Node", Name: "w1"}, change: func(o meta.Object) { o.(*v1.Node).Status.Kernel = "6" }},
		"its finalizer":      {key: meta.Key{Kind: "Task", Name: "web-1-1"}, change: func(o meta.Object) { o.Meta().Finalizers = []string{"volumes"} }},
		"an event about its task": {key: anEvent("w1", "Task", "web-1-1").Key(), guard: store.Any, change: func(o meta.Object) {
			*o.(*v1.Event) = *anEvent("w1", "Task", "web-1-1")
			o.(*v1.Event).Status.Count = 2
		}},
	} {
		mem, w := asWorker()
		if _, err := w.Commit(t.Context(), a.op(mem)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// refusals are writes beyond a worker's rights, each with the fault of one kind.
var refusals = map[string]attempt{
	"status of another node's task": {key: meta.Key{Kind: "Task", Name: "web-2-2"}, change: func(o meta.Object) { o.(*v1.Task).Status.PID = 7 }},
	"a task that has no node yet":   {key: meta.Key{Kind: "Task", Name: "web-3-3"}, change: func(o meta.Object) { o.(*v1.Task).Spec.Node = "w1" }},
	"its task to another node":      {key: meta.Key{Kind: "Task", Name: "web-1-1"}, change: func(o meta.Object) { o.(*v1.Task).Spec.Node = "w2" }},
	"another node's task to itself": {key: meta.Key{Kind: "Task", Name: "web-2-2"}, change: func(o meta.Object) { o.(*v1.Task).Spec.Node = "w1" }},
	"spec of its task":              {key: meta.Key{Kind: "Task", Name: "web-1-1"}, change: func(o meta.Object) { o.(*v1.Task).Spec.Image = "evil:1" }},
	"what the scheduler says":       {key: meta.Key{Kind: "Task", Name: "web-1-1"}, change: func(o meta.Object) { o.(*v1.Task).Status.Pending = []v1.PendingReason{{}} }},
	"labels of its task":            {key: meta.Key{Kind: "Task", Name: "web-1-1"}, change: func(o meta.Object) { o.Meta().Labels = map[string]string{"a": "b"} }},
	"owner of its task":             {key: meta.Key{Kind: "Task", Name: "web-1-1"}, change: func(o meta.Object) { o.Meta().Owner.Name = "x" }},
	"deletion of its task":          {key: meta.Key{Kind: "Task", Name: "web-1-1"}, change: func(o meta.Object) { o.Meta().Deleted = time.Unix(9, 0) }},
	"another's finalizer":           {key: meta.Key{Kind: "Task", Name: "web-1-1"}, change: func(o meta.Object) { o.Meta().Finalizers = []string{tasks.Name} }},
	"end of its task":               {key: meta.Key{Kind: "Task", Name: "web-1-1"}},
	"end of another's task":         {key: meta.Key{Kind: "Task", Name: "web-2-2"}},
	"a new task":                    {key: meta.Key{Kind: "Task", Name: "web-9-9"}, change: func(o meta.Object) { o.(*v1.Task).Spec.Node = "w1" }},
	"status of another node":        {key: meta.Key{Kind: "Node", Name: "w2"}, change: func(o meta.Object) { o.(*v1.Node).Status.Kernel = "6" }},
	"a new node":                    {key: meta.Key{Kind: "Node", Name: "w3"}, change: func(o meta.Object) {}},
	"its state":                     {key: meta.Key{Kind: "Node", Name: "w1"}, change: func(o meta.Object) { o.(*v1.Node).Status.State = v1.NodeReady }},
	"its subnet":                    {key: meta.Key{Kind: "Node", Name: "w1"}, change: func(o meta.Object) { o.(*v1.Node).Status.Subnet = "10.0.9.0/24" }},
	"its identity":                  {key: meta.Key{Kind: "Node", Name: "w1"}, change: func(o meta.Object) { o.(*v1.Node).Status.Identity = "00" }},
	"a service":                     {key: meta.Key{Kind: "Service", Name: "web"}, change: func(o meta.Object) { o.(*v1.Service).Spec.Image = "evil:1" }},
	"status of a service":           {key: meta.Key{Kind: "Service", Name: "web"}, change: func(o meta.Object) { o.(*v1.Service).Status.Ready = 1 }},
	"end of a service":              {key: meta.Key{Kind: "Service", Name: "web"}},
	"a new service":                 {key: meta.Key{Kind: "Service", Name: "evil"}, change: func(o meta.Object) { o.(*v1.Service).Spec.Image = "evil:1" }},
	"the cluster":                   {key: meta.Key{Kind: "Cluster", Name: "warren"}, change: func(o meta.Object) { o.(*v1.Cluster).Spec.ID = "x" }},
	"a token":                       {key: meta.Key{Kind: "Token", Name: "aaaaaaaa"}, change: func(o meta.Object) { o.(*v1.Token).Spec.Uses = 9 }},
	"a new token":                   {key: meta.Key{Kind: "Token", Name: "bbbbbbbb"}, change: func(o meta.Object) { o.(*v1.Token).Spec.Uses = 9 }},
	"end of a token":                {key: meta.Key{Kind: "Token", Name: "aaaaaaaa"}},
	"an event about another's task": {key: anEvent("w1", "Task", "web-2-2").Key(), guard: store.Any, change: func(o meta.Object) { *o.(*v1.Event) = *anEvent("w1", "Task", "web-2-2") }},
	"an event as another node":      {key: anEvent("w2", "Task", "web-1-1").Key(), guard: store.Any, change: func(o meta.Object) { *o.(*v1.Event) = *anEvent("w2", "Task", "web-1-1") }},
	"an event as the scheduler": {key: anEvent("w1", "Task", "web-1-1").Key(), guard: store.Any, change: func(o meta.Object) {
		*o.(*v1.Event) = *anEvent("w1", "Task", "web-1-1")
		o.(*v1.Event).Spec.Source = "scheduler"
	}},
	"end of an event": {key: anEvent("w1", "Task", "web-1-1").Key()},
}

func TestWorkerIsRefusedTheRest(t *testing.T) {
	for what, a := range refusals {
		t.Run(what, func(t *testing.T) {
			mem, w := asWorker()
			_, before, _ := mem.List(t.Context())
			good := attempt{key: meta.Key{Kind: "Node", Name: "w1"}, change: func(o meta.Object) { o.(*v1.Node).Status.Kernel = "6" }}.op(mem)
			ops := []store.Op{a.op(mem)}
			if ops[0].Key != good.Key {
				ops = append(ops, good) // all or nothing
			}
			if _, err := w.Commit(t.Context(), ops...); !errors.Is(err, store.ErrForbidden) && !errors.Is(err, store.ErrNotFound) {
				t.Errorf("not refused: %v", err)
			}
			if _, after, _ := mem.List(t.Context()); after != before {
				t.Error("something of it was written")
			}
		})
	}
}

// What changed meanwhile is a conflict, which the agent tries again, and not a breach of its rights.
func TestStaleWriteOfAWorkerIsAConflict(t *testing.T) {
	mem, w := asWorker()
	op := attempt{key: meta.Key{Kind: "Task", Name: "web-1-1"}, change: func(o meta.Object) { o.(*v1.Task).Status.PID = 7 }}.op(mem)
	change(t, mem, op.Key, func(o *v1.Task) { o.Status.Pending = []v1.PendingReason{{Cause: "x"}} })
	if _, err := w.Commit(t.Context(), op); !errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrForbidden) {
		t.Errorf("%v", err)
	}
}
