package control

import (
	"context"
	"fmt"
	"strings"

	"warren.io/warren/apis/meta"
)

// Collector removes what has lost its owner: the only controller that the engine brings along. Its items are owners that are
// gone; the item "" looks at everything once at the start.
type Collector struct{ Kinds meta.Kinds }

// Contract implements Controller.
func (c Collector) Contract() Contract {
	contract := Contract{Name: "collector", Runs: OnLeader}
	for _, k := range c.Kinds {
		contract.Reads = append(contract.Reads, Input{Kind: k.Name, Items: orphaned})
	}
	return contract
}

// orphaned names an object that is gone, and the owner of an object that came too late.
func orphaned(old, new meta.Object) []string {
	if new == nil {
		return []string{ownerKey(meta.OwnerOf(old))}
	}
	if w := new.Meta().Owner; old == nil && w != (meta.Owner{}) {
		return []string{ownerKey(w)}
	}
	return nil
}

func ownerKey(w meta.Owner) string { return fmt.Sprintf("%s/%s/%d", w.Kind, w.Name, w.UID) }

// Reconcile implements Controller.
func (c Collector) Reconcile(_ context.Context, tx *Tx, name string) (Result, error) {
	drop := func(o meta.Object) {
		if tx.Room() > 0 && o.Meta().Deleted.IsZero() && !tx.alive(o.Meta().Owner) {
			tx.collect(o)
		}
	}
	if name == "" {
		tx.snap.All(drop)
	} else {
		tx.snap.Where("", byOwner, name, drop)
	}
	if tx.Room() == 0 {
		return Result{After: 1}, nil // the rest with the next commit
	}
	return Result{}, nil
}

// alive tells whether the very incarnation that owns something is still there; what has no owner needs none.
func (tx *Tx) alive(w meta.Owner) bool {
	if w == (meta.Owner{}) {
		return true
	}
	o, ok := tx.snap.Get(meta.Key{Kind: w.Kind, Name: w.Name})
	return ok && o.Meta().UID == w.UID
}

// collect deletes without a right to the kind: losing the owner is the right.
func (tx *Tx) collect(o meta.Object) {
	w := o.Meta().Owner
	tx.Because(o, nil, "its owner, %s %s, is gone", strings.ToLower(w.Kind), w.Name)
	tx.Delete(o)
	if w := tx.writes[o.Key()]; w != nil {
		w.collected = true
	}
}
