// Package tokens removes join tokens that nobody can use any more, some time after that, so that people still see what
// became of them.
package tokens

import (
	"context"
	"time"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
)

// Shown is for how long a token is kept after it has expired.
const Shown = 24 * time.Hour

// Controller works on one Token at a time.
type Controller struct{}

// Contract implements control.Controller.
func (Controller) Contract() control.Contract {
	return control.Contract{Name: "tokens", Kind: "Token", Runs: control.OnLeader, Reads: []control.Input{{Kind: "Token"}}, Writes: []string{"Token"}}
}

// Reconcile implements control.Controller.
func (Controller) Reconcile(_ context.Context, tx *control.Tx, name string) (control.Result, error) {
	t, ok := control.Get[v1.Token](tx, name)
	if !ok {
		return control.Result{}, nil
	}
	if left := t.Spec.Expires.Add(Shown).Sub(tx.Now()); left > 0 {
		return control.Result{After: left}, nil
	}
	tx.Delete(t)
	return control.Result{}, nil
}
