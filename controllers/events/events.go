// Package events turns notes of controllers into Event resources and keeps their number bounded.
package events

import (
	"context"
	"sort"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
)

// Record makes the event for a note, counting on from the one that is there. It is an Engine's Record.
func Record(find func(meta.Key) (meta.Object, bool), source string, n control.Note, now time.Time) meta.Object {
	spec := v1.EventSpec{About: n.About, Type: v1.EventNormal, Reason: n.Reason, Source: source}
	if n.Warning {
		spec.Type = v1.EventWarning
	}
	var old *v1.Event
	if o, ok := find(meta.Key{Kind: "Event", Name: v1.EventName(n.About, n.Reason)}); ok {
		old = o.(*v1.Event)
	}
	return spec.Again(old, n.Message, now)
}

// Controller removes the oldest events when there are too many.
type Controller struct{}

// Contract implements control.Controller.
func (Controller) Contract() control.Contract {
	return control.Contract{
		Name: "events", Runs: control.OnLeader,
		Reads: []control.Input{{Kind: "Event", Items: func(old, new meta.Object) []string {
			if old == nil {
				return control.One(old, new)
			}
			return nil
		}}},
		Writes: []string{"Event"},
	}
}

// Reconcile implements control.Controller.
func (Controller) Reconcile(_ context.Context, tx *control.Tx, _ string) (control.Result, error) {
	all := control.List[v1.Event](tx)
	drop := surplus(all, tx.Room())
	for _, e := range drop {
		tx.Delete(e)
	}
	if len(all)-len(drop) > v1.MaxEvents {
		return control.Result{After: 1}, nil // the rest with the next commit
	}
	return control.Result{}, nil
}

// batch is how many go at once, so that a full table is not trimmed by one commit for each new event.
const batch = 50

// surplus returns the events to drop: none up to the bound, then the oldest, at most so many.
func surplus(all []*v1.Event, most int) []*v1.Event {
	if len(all) <= v1.MaxEvents {
		return nil
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].Status.Last.Before(all[j].Status.Last) })
	return all[:min(len(all)-v1.MaxEvents+batch, most)]
}
