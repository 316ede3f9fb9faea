package control

import (
	"context"
	"testing"
)

type counted struct{ runs *int }

func (counted) Contract() Contract { return Contract{Name: "counted", Runs: OnLeader} }

func (c counted) Reconcile(context.Context, *Tx, string) (Result, error) {
	*c.runs++
	return Result{}, nil
}

// TestPokeBeforeControllers: a host may poke while the engine is still being put together; that must not leave it without
// controllers for good.
func TestPokeBeforeControllers(t *testing.T) {
	e, runs := &Engine{Name: "test"}, 0
	e.Poke("counted", "")
	e.Controllers = []Controller{counted{&runs}}
	e.Load(nil, 1)
	if did, err := e.Step(t.Context()); !did || err != nil || runs != 1 {
		t.Errorf("after a poke that came early: %v, %v, %d runs", did, err, runs)
	}
}
