package control

import (
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
)

func TestPermit(t *testing.T) {
	permit := Permit(v1.Kinds, []Contract{
		{Name: "agent", Writes: []string{"Node", "Node.status.{os,arch}", "Task.status.pid"}, Finalizer: []string{"Task"}},
		{Name: "other", Writes: []string{"Task.status.ready"}},
	})
	node := func(f func(*v1.Node)) *v1.Node {
		n := meta.New[v1.Node]("n1")
		n.Metadata.Created, n.Metadata.Generation = time.Unix(1, 0), 1
		f(n)
		return n
	}
	task := func(f func(*v1.Task)) *v1.Task {
		x := meta.New[v1.Task]("t")
		x.Metadata.Finalizers = []string{"third"}
		f(x)
		return x
	}
	none := func(*v1.Task) {}
	for what, x := range map[string]struct {
		old, new meta.Object
		ok       bool
	}{
		"creates with its fields":    {nil, node(func(n *v1.Node) { n.Status.OS = "linux" }), true},
		"creates with others":        {nil, node(func(n *v1.Node) { n.Status.Subnet = "x" }), false},
		"creates with labels":        {nil, node(func(n *v1.Node) { n.Metadata.Labels = map[string]string{"a": "b"} }), false},
		"creates another kind":       {nil, task(none), false},
		"changes its field":          {task(none), task(func(x *v1.Task) { x.Status.PID = 1 }), true},
		"changes fields of two":      {task(none), task(func(x *v1.Task) { x.Status.PID, x.Status.Ready = 1, true }), true},
		"changes another field":      {task(none), task(func(x *v1.Task) { x.Status.Message = "x" }), false},
		"changes nothing":            {task(none), task(none), true},
		"adds its finalizer":         {task(none), task(func(x *v1.Task) { x.Metadata.Finalizers = []string{"third", "agent"} }), true},
		"takes another finalizer":    {task(none), task(func(x *v1.Task) { x.Metadata.Finalizers = nil }), false},
		"finalizer without contract": {task(none), task(func(x *v1.Task) { x.Metadata.Finalizers = []string{"third", "other"} }), false},
		"asks for deletion":          {task(none), task(func(x *v1.Task) { x.Metadata.Deleted = time.Unix(2, 0) }), false},
		"removes what it makes":      {node(func(*v1.Node) {}), nil, true},
		"removes what lives":         {task(func(x *v1.Task) { x.Metadata.Finalizers = []string{"agent"} }), nil, false},
		"lets go as the last": {task(func(x *v1.Task) {
			x.Metadata.Finalizers, x.Metadata.Deleted = []string{"agent"}, time.Unix(2, 0)
		}), nil, true},
		"lets go before others": {task(func(x *v1.Task) {
			x.Metadata.Finalizers, x.Metadata.Deleted = []string{"agent", "third"}, time.Unix(2, 0)
		}), nil, false},
	} {
		if err := permit(x.old, x.new); (err == nil) != x.ok {
			t.Errorf("%s: %v", what, err)
		}
	}
}
