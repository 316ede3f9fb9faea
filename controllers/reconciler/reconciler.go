// Package reconciler makes the tasks of each service: as many as wanted, in stable slots, with the current template.
package reconciler

import (
	"context"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
)

// Controller works on one Service at a time.
type Controller struct{}

// Contract implements control.Controller.
func (Controller) Contract() control.Contract {
	return control.Contract{
		Name: "reconciler", Kind: "Service", Runs: control.OnLeader,
		Reads: []control.Input{
			{Kind: "Service"},
			{Kind: "Task", Items: serviceOf},
			{Kind: "Node", Items: concerns},
		},
		Writes: []string{"Task", "Service.status"},
	}
}

func serviceOf(old, new meta.Object) []string {
	if new == nil {
		new = old
	}
	return []string{new.(*v1.Task).Spec.Service}
}

// concerns: the state of a node, since when, and whether it is drained concern all services: some lose tasks, global ones gain
// or lose a slot.
func concerns(old, new meta.Object) []string {
	if old != nil && new != nil {
		if a, b := old.(*v1.Node), new.(*v1.Node); a.Status.State == b.Status.State && a.Spec == b.Spec && turned(a).Equal(turned(b)) {
			return nil
		}
	}
	return control.All
}

// turned is when a node came to be in its state.
func turned(n *v1.Node) time.Time { return n.Status.Conditions.Find(v1.ConditionReady).TransitionTime }

// Reconcile implements control.Controller.
func (Controller) Reconcile(_ context.Context, tx *control.Tx, name string) (control.Result, error) {
	svc, ok := control.Get[v1.Service](tx, name)
	if !ok {
		return control.Result{}, nil // its tasks go with their owner
	}
	w := world{svc: svc, nodes: control.List[v1.Node](tx), now: tx.Now(), room: tx.Room() - 1}
	for _, t := range control.Where[v1.Task](tx, v1.ByService, name) {
		w.all = append(w.all, t)
	}
	p := decide(w)
	for _, t := range p.remove {
		because(tx, t, svc, p.why[t.Metadata.Name])
		tx.Delete(t)
	}
	for _, t := range p.create {
		because(tx, t, svc, p.why[t.Metadata.Name])
		tx.Create(t)
	}
	for _, w := range p.words {
		if w.task == nil {
			tx.Explain(svc, "%s", w.text)
		} else {
			tx.Explain(w.task, "%s", w.text)
		}
	}
	control.Modify(tx, svc, func(s *v1.Service) { s.Status = p.status })
	for _, n := range p.notes {
		if n.Warning {
			tx.Warn(svc, n.Reason, "%s", n.Message)
		} else {
			tx.Event(svc, n.Reason, "%s", n.Message)
		}
	}
	return control.Result{After: p.after}, nil
}

// because leaves the reason for those who ask; where somebody asked for it, the service leads to who.
func because(tx *control.Tx, t *v1.Task, svc *v1.Service, why cause) {
	if why.asked {
		tx.Because(t, svc, "%s", why.text)
	} else {
		tx.Because(t, nil, "%s", why.text)
	}
}
