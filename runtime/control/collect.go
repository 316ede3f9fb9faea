package control

import (
	"context"
	"fmt"
	"strings"

	"warren.io/warren/apis/meta"
)

// Collector removes what has lost its owner, and what is deleted but held by finalizers of what has lost its home: the only
// controller that the engine brings along. Its items are owners and homes that may be gone; the item "" looks at everything
// once at the start.
type Collector struct{ Kinds meta.Kinds }

// Contract implements Controller.
func (c Collector) Contract() Contract {
	contract := Contract{Name: "collector", Runs: OnLeader}
	for _, k := range c.Kinds {
		contract.Reads = append(contract.Reads, Input{Kind: k.Name, Items: orphaned(k)})
	}
	return contract
}

// orphaned names an object that is gone, the owner of an object that came too late, and where a deleted one lives.
func orphaned(k *meta.Kind) func(old, new meta.Object) []string {
	return func(old, new meta.Object) (items []string) {
		if new == nil {
			return []string{ownerKey(meta.OwnerOf(old)), homeItem(old.Key())}
		}
		if w := new.Meta().Owner; old == nil && w != (meta.Owner{}) {
			items = append(items, ownerKey(w))
		}
		if k.Home != nil && held(new) {
			items = append(items, homeItem(k.Home(new)))
		}
		return items
	}
}

// held objects are deleted as soon as nobody holds them.
func held(o meta.Object) bool { return !o.Meta().Deleted.IsZero() && len(o.Meta().Finalizers) > 0 }

// homeItem is the item that looks at what lived on something.
func homeItem(home meta.Key) string { return "on " + home.String() }

func ownerKey(w meta.Owner) string { return fmt.Sprintf("%s/%s/%d", w.Kind, w.Name, w.UID) }

// Reconcile implements Controller.
func (c Collector) Reconcile(_ context.Context, tx *Tx, name string) (Result, error) {
	drop := func(o meta.Object) {
		if tx.Room() > 0 && o.Meta().Deleted.IsZero() && !tx.alive(o.Meta().Owner) {
			tx.collect(o)
		}
	}
	forsake := func(o meta.Object) {
		if tx.Room() > 0 && c.forsaken(tx, o) {
			tx.Because(o, nil, "%s, where it was, is gone", homeOf(c.Kinds, o))
			tx.put(o.Key(), &write{old: o, collected: true})
		}
	}
	switch home, isHome := strings.CutPrefix(name, "on "); {
	case name == "":
		tx.snap.All(drop)
		tx.snap.All(forsake)
	case isHome:
		if kind, name, _ := strings.Cut(home, "/"); !tx.there(meta.Key{Kind: kind, Name: name}) {
			tx.snap.All(forsake)
		}
	default:
		tx.snap.Where("", byOwner, name, drop)
	}
	if tx.Room() == 0 {
		return Result{After: 1}, nil // the rest with the next commit
	}
	return Result{}, nil
}

// forsaken tells whether an object waits for holders that lived on what is gone.
func (c Collector) forsaken(tx *Tx, o meta.Object) bool {
	home := homeOf(c.Kinds, o)
	return held(o) && home != (meta.Key{}) && !tx.there(home)
}

func homeOf(kinds meta.Kinds, o meta.Object) meta.Key {
	if k, ok := kinds.ByName(o.Key().Kind); ok && k.Home != nil {
		return k.Home(o)
	}
	return meta.Key{}
}

func (tx *Tx) there(k meta.Key) bool {
	_, ok := tx.snap.Get(k)
	return ok
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
