// Package tasks runs the tasks of one node: it tells the host what shall be there and reports what is. Processes that end
// are started again in place, here, without asking anyone: that works when the node is cut off, too.
package tasks

import (
	"context"
	"errors"
	"reflect"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/host"
)

// Name of the controller, its finalizer, and what a host pokes.
const Name = "agent/tasks"

// Controller works on all tasks of a node at once: the host takes the whole desired state, and many reports become one commit.
type Controller struct {
	Node    string
	Cluster string // id of the cluster that this node belongs to
	Host    host.Tasks
}

// Contract implements control.Controller.
func (c Controller) Contract() control.Contract {
	return control.Contract{
		Name: Name, Runs: control.OnEveryNode,
		Reads: []control.Input{{Kind: "Task"}, {Kind: "Cluster"}},
		Writes: []string{"Task.status.{phase,ready,restarts,failures,reason,message,imageDigest,platforms,address,pid," +
			"startedAt,finishedAt,exitCode,exitReason}"},
		Finalizer: []string{"Task"},
	}
}

// Reconcile implements control.Controller.
func (c Controller) Reconcile(ctx context.Context, tx *control.Tx, _ string) (control.Result, error) {
	// A store that was emptied or belongs to others is no reason to stop anything.
	if cluster, ok := control.Get[v1.Cluster](tx, v1.ClusterName); !ok || cluster.Spec.ID != c.Cluster {
		return control.Result{}, nil
	}
	seen, err := c.Host.Observe(ctx)
	if errors.Is(err, host.ErrNotReady) {
		return control.Result{}, nil // the host pokes when it knows
	}
	if err != nil {
		return control.Result{}, err
	}
	states := map[string]host.State{}
	for _, s := range seen {
		states[s.Name] = s
	}
	var want []host.Task
	var after time.Duration
	for _, t := range control.Where[v1.Task](tx, v1.ByNode, c.Node) {
		d := decide(t, states, tx.Now())
		if d.want != nil {
			want = append(want, *d.want)
		}
		if tx.Room() == 0 {
			after = 1 // the rest with the next commit
			continue
		}
		report(tx, t, d)
		after = sooner(after, d.after)
	}
	if err := c.Host.Set(ctx, want); err != nil {
		return control.Result{}, err
	}
	return control.Result{After: after}, nil
}

// report writes what changed, keeps the finalizer while anything of the task may be on this machine, and tells people.
func report(tx *control.Tx, t *v1.Task, d decision) {
	tx.Finalize(t, !d.gone)
	if d.gone {
		return
	}
	if !reflect.DeepEqual(t.Status, d.status) {
		control.Modify(tx, t, func(t *v1.Task) { t.Status = d.status })
	}
	if d.event.Reason != "" {
		if d.event.Warning {
			tx.Warn(t, d.event.Reason, "%s", d.event.Message)
		} else {
			tx.Event(t, d.event.Reason, "%s", d.event.Message)
		}
	}
}

// sooner of two waits, where 0 means none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// Visible is the part of the store that an agent sees: its own tasks and node, and the cluster.
func Visible(node string) func(meta.Object) bool {
	return func(o meta.Object) bool {
		switch o := o.(type) {
		case *v1.Task:
			return o.Spec.Node == node
		case *v1.Node:
			return o.Metadata.Name == node
		case *v1.Cluster:
			return true
		case *v1.Event:
			return o.Spec.Source == Name
		}
		return false
	}
}
