package control

import (
	"errors"
	"slices"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
)

// ErrContract is a breach of a contract: an error in the controller's code. Nothing of the transaction is committed.
var ErrContract = errors.New("contract broken")

// Ops returns the operations of the transaction, checked against the contract: none where nothing changes.
func (tx *Tx) Ops() ([]store.Op, error) {
	var ops []store.Op
	for _, k := range tx.order {
		if op, ok := tx.op(k, tx.writes[k]); ok {
			ops = append(ops, op)
		}
	}
	return ops, tx.err
}

func (tx *Tx) op(k meta.Key, w *write) (store.Op, bool) {
	switch {
	case w.old == nil:
		return tx.creation(k, w.new)
	case w.new == nil:
		if !w.collected {
			tx.mustMake(k)
		}
		return store.DeleteOp(w.old), true
	}
	return tx.change(k, w)
}

func (tx *Tx) mustMake(k meta.Key) {
	if !tx.contract.mayMake(k.Kind) {
		tx.fail("creates or deletes %s, which its contract does not allow", k)
	}
}

func (tx *Tx) creation(k meta.Key, o meta.Object) (store.Op, bool) {
	tx.mustMake(k)
	m := o.Meta()
	m.Created, m.Generation = tx.now, 1
	var p meta.Problems
	if o.SetDefaults(); m.Name != "" {
		o.Validate(&p)
	}
	if m.Name == "" || p.Err() != nil {
		tx.fail("creates an invalid %s: %v", k, p.Error())
	}
	return store.CreateOp(o), true
}

func (tx *Tx) change(k meta.Key, w *write) (store.Op, bool) {
	paths := meta.Diff(w.old, w.new)
	if len(paths) == 0 {
		return store.Op{}, false
	}
	for _, p := range paths {
		if !tx.allowed(k.Kind, p, w) {
			tx.fail("changes %s %s, which its contract does not allow", k, p)
		}
	}
	m := w.new.Meta()
	if !m.Deleted.IsZero() && len(m.Finalizers) == 0 {
		return store.DeleteOp(w.old), true
	}
	if slices.ContainsFunc(paths, func(p string) bool { return covers("spec", p) }) {
		m.Generation++
	}
	return store.UpdateOp(w.new), true
}

func (tx *Tx) allowed(kind, path string, w *write) bool {
	switch path {
	case "metadata.finalizers":
		return tx.contract.finalizes(kind)
	case "metadata.deleted":
		return w.collected || tx.contract.mayMake(kind) && w.old.Meta().Deleted.IsZero()
	}
	return tx.contract.mayChange(kind, path)
}
