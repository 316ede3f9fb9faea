// Package managers takes nodes out of those that keep the store, when they shall be managers no more, or are gone. Into it they
// come by themselves: a node that may be a manager asks for a place.
package managers

import (
	"context"
	"slices"
	"time"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
)

// Name of the controller.
const Name = "managers"

// Members are the nodes that keep the store.
type Members interface {
	Names() []string
	// Remove begins to remove one; whether that comes to an end is seen by Names. It refuses, and says so in the log, what would
	// leave less than a majority reachable.
	Remove(name string)
}

// look is how soon to look whether a removal came to its end.
const look = 2 * time.Second

// Controller compares the members with what their nodes shall be.
type Controller struct{ Members Members }

// Contract implements control.Controller.
func (Controller) Contract() control.Contract {
	return control.Contract{Name: Name, Runs: control.OnLeader, Reads: []control.Input{{Kind: "Node"}}}
}

// Reconcile implements control.Controller. The last one stays, whatever is said of its node. One at a time: what may be removed
// depends on who is left.
func (c Controller) Reconcile(_ context.Context, tx *control.Tx, _ string) (control.Result, error) {
	names := c.Members.Names()
	slices.Sort(names)
	for _, name := range names {
		if n, ok := control.Get[v1.Node](tx, name); len(names) > 1 && (!ok || n.Spec.Role == v1.RoleWorker) {
			c.Members.Remove(name)
			return control.Result{After: look}, nil
		}
	}
	return control.Result{}, nil
}
