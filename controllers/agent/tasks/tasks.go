// Package tasks runs the tasks of one node: it tells the host what shall be there and reports what is. Processes that end
// are started again in place, here, without asking anyone: that works when the node is cut off, too.
package tasks

import (
	"context"
	"errors"
	"slices"
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
		Reads: []control.Input{{Kind: "Task", Items: wished}, {Kind: "Cluster"}},
		Writes: []string{"Task.status.{phase,ready,restarts,failures,reason,message,imageDigest,platforms,address,pid," +
			"startedAt,finishedAt,exitCode,exitReason}"},
		Finalizer: []string{"Task"},
	}
}

// wished tells whether something else is wanted of a task. Its status and its finalizer are our own reports.
func wished(old, new meta.Object) []string {
	if old != nil && new != nil && old.Meta().Generation == new.Meta().Generation && old.Meta().Deleted.Equal(new.Meta().Deleted) {
		return nil
	}
	return control.One(old, new)
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
	all := control.Where[v1.Task](tx, v1.ByNode, c.Node)
	want := make([]host.Task, 0, len(all))
	var after time.Duration
	for _, t := range all {
		for len(seen) > 0 && seen[0].Name < t.Metadata.Name { // both are sorted
			seen = seen[1:]
		}
		d := decide(t, first(seen, t), tx.Now())
		if d.wanted {
			want = append(want, d.want)
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

// first returns the first state if it is of the very incarnation of a task, else nil.
func first(seen []host.State, t *v1.Task) *host.State {
	if len(seen) == 0 || seen[0].Name != t.Metadata.Name || seen[0].UID != t.Metadata.UID {
		return nil
	}
	return &seen[0]
}

// report writes what changed, keeps the finalizer while anything of the task may be on this machine, and tells people.
func report(tx *control.Tx, t *v1.Task, d decision) {
	tx.Finalize(t, !d.gone)
	if d.gone {
		return
	}
	if !same(&t.Status, &d.status) {
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

// same compares two statuses by hand: most tasks did not change, and finding that out is most of what an agent does.
func same(a, b *v1.TaskStatus) bool {
	return a.Phase == b.Phase && a.Ready == b.Ready && a.Restarts == b.Restarts && a.Failures == b.Failures && a.Reason == b.Reason &&
		a.Message == b.Message && a.ImageDigest == b.ImageDigest && a.Address == b.Address && a.PID == b.PID &&
		a.ExitReason == b.ExitReason && a.StartedAt.Equal(b.StartedAt) && a.FinishedAt.Equal(b.FinishedAt) &&
		slices.Equal(a.Platforms, b.Platforms) && slices.Equal(a.Pending, b.Pending) &&
		(a.ExitCode == b.ExitCode || a.ExitCode != nil && b.ExitCode != nil && *a.ExitCode == *b.ExitCode)
}

// sooner of two waits, where 0 means none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// Visible is the part of the store that an agent sees: its own tasks and node, the cluster, and the services, whose images it
// keeps.
func Visible(node string) func(meta.Object) bool {
	return func(o meta.Object) bool {
		switch o := o.(type) {
		case *v1.Task:
			return o.Spec.Node == node
		case *v1.Node:
			return o.Metadata.Name == node
		case *v1.Cluster, *v1.Service:
			return true
		case *v1.Event:
			return o.Spec.Source == Name && o.Spec.Node == node
		}
		return false
	}
}
