// Package scheduler gives each task a node, or the reason why it has none.
package scheduler

import (
	"context"
	"slices"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
)

// Controller works on all pending tasks at once: where one goes depends on where the others go.
type Controller struct{}

// Contract implements control.Controller.
func (Controller) Contract() control.Contract {
	return control.Contract{
		Name: "scheduler", Runs: control.OnLeader,
		Reads:  []control.Input{{Kind: "Task", Items: matters}, {Kind: "Node", Items: nodeMatters}},
		Writes: []string{"Task.spec.node", "Task.status.pending"},
	}
}

// matters: a task wants a node, or one has given back what it held.
func matters(old, new meta.Object) []string {
	if new == nil || new.(*v1.Task).Spec.Node == "" {
		return control.One(old, new)
	}
	if old != nil && !old.(*v1.Task).Status.Phase.Terminal() && new.(*v1.Task).Status.Phase.Terminal() {
		return control.One(old, new)
	}
	return nil
}

func nodeMatters(old, new meta.Object) []string {
	if old != nil && new != nil {
		a, b := old.(*v1.Node).Status, new.(*v1.Node).Status
		if old.(*v1.Node).Spec == new.(*v1.Node).Spec && a.State == b.State && a.Capacity == b.Capacity && a.Arch == b.Arch && a.OS == b.OS {
			return nil
		}
	}
	return control.One(old, new)
}

// Reconcile implements control.Controller.
func (Controller) Reconcile(_ context.Context, tx *control.Tx, _ string) (control.Result, error) {
	var pending []*v1.Task
	for _, t := range control.Where[v1.Task](tx, v1.ByNode, "") {
		if t.Metadata.Deleted.IsZero() && !t.Status.Phase.Terminal() {
			pending = append(pending, t)
		}
	}
	if len(pending) == 0 {
		return control.Result{}, nil
	}
	var places []*place
	for _, n := range control.List[v1.Node](tx) {
		places = append(places, newPlace(n, control.Where[v1.Task](tx, v1.ByNode, n.Metadata.Name)))
	}
	for _, t := range pending {
		if tx.Room() == 0 {
			return control.Result{After: 1}, nil // the rest on the snapshot with these
		}
		assign(tx, t, places)
	}
	return control.Result{}, nil
}

func assign(tx *control.Tx, t *v1.Task, places []*place) {
	best, refused := choose(t, places)
	if best == nil {
		reasons := explain(refused, len(places))
		if !slices.Equal(t.Status.Pending, reasons) {
			tx.Warn(t, "Pending", "%s", sentence(reasons))
			control.Modify(tx, t, func(t *v1.Task) { t.Status.Pending = reasons })
		}
		explainEach(tx, t, places)
		return
	}
	tx.Because(t, nil, "%s", choice(best, refused, len(places)))
	best.add(t)
	control.Modify(tx, t, func(t *v1.Task) { t.Spec.Node, t.Status.Pending = best.name, nil })
}
