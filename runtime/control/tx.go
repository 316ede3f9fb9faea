package control

import (
	"fmt"
	"time"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
)

// Tx is one reconcile: it reads one snapshot and collects writes, which are committed together. Reads do not see the writes of
// the same transaction.
type Tx struct {
	snap     *Snapshot
	now      time.Time
	contract *Contract
	order    []meta.Key
	writes   map[meta.Key]*write
	events   []Note
	because  map[meta.Key]Deed
	words    map[meta.Key][]string // nil: nobody reads them
	err      error
}

// write is what shall become of one object.
type write struct {
	old, new  meta.Object // old nil: create; new nil: delete
	collected bool        // by the Collector, which needs no right to the kind
}

// Note is an event that a reconcile wants to be told.
type Note struct {
	About           meta.Key
	Warning         bool
	Reason, Message string
}

// NewTx starts a transaction on a snapshot, for tests of a single reconcile.
func NewTx(snap *Snapshot, c *Contract, now time.Time) *Tx {
	return &Tx{snap: snap, now: now, contract: c, writes: map[meta.Key]*write{}}
}

// Now is the time at which the reconcile began: the only clock that a controller has.
func (tx *Tx) Now() time.Time { return tx.now }

// Room is how many more objects this transaction may write; a reconcile that needs more leaves the rest for its next run.
func (tx *Tx) Room() int { return store.MaxOps - len(tx.order) }

// Get returns an object by name.
func Get[R any, P meta.Ptr[R]](tx *Tx, name string) (P, bool) {
	kind := meta.KindOf[R, P]()
	tx.mustRead(kind)
	if o, ok := tx.snap.Get(meta.Key{Kind: kind, Name: name}); ok {
		return o.(P), true
	}
	return nil, false
}

// List returns all objects of a kind in order of name.
func List[R any, P meta.Ptr[R]](tx *Tx) []P {
	kind := meta.KindOf[R, P]()
	tx.mustRead(kind)
	var out []P
	tx.snap.Each(kind, func(o meta.Object) bool { out = append(out, o.(P)); return true })
	return out
}

// Where returns the objects of a kind that an index finds under a value, in order of name.
func Where[R any, P meta.Ptr[R]](tx *Tx, index, value string) []P {
	kind := meta.KindOf[R, P]()
	tx.mustRead(kind)
	var out []P
	tx.snap.Where(kind, index, value, func(o meta.Object) { out = append(out, o.(P)) })
	return out
}

// Modify changes a copy of o by f and remembers it. Modifying an object twice adds up.
func Modify[P meta.Object](tx *Tx, o P, f func(P)) {
	k := o.Key()
	if w, ok := tx.writes[k]; ok && w.new != nil {
		f(w.new.(P))
		return
	}
	n := o.Clone().(P)
	f(n)
	if len(meta.Diff(o, n)) > 0 {
		tx.put(k, &write{old: o, new: n})
	}
}

// Create writes a new object.
func (tx *Tx) Create(o meta.Object) { tx.put(o.Key(), &write{new: o}) }

// Delete removes an object, or marks it as deleted while others hold finalizers on it.
func (tx *Tx) Delete(o meta.Object) {
	if len(o.Meta().Finalizers) == 0 {
		tx.put(o.Key(), &write{old: o})
		return
	}
	if o.Meta().Deleted.IsZero() {
		n := o.Clone()
		n.Meta().Deleted = tx.now
		tx.put(o.Key(), &write{old: o, new: n})
	}
}

// Finalize adds (on) or removes this controller's finalizer. An object that is marked as deleted goes with its last one.
func (tx *Tx) Finalize(o meta.Object, on bool) {
	has := false
	for _, f := range o.Meta().Finalizers {
		has = has || f == tx.contract.Name
	}
	if has == on {
		return
	}
	Modify(tx, o, func(n meta.Object) {
		m := n.Meta()
		if on {
			m.Finalizers = append(m.Finalizers, tx.contract.Name)
			return
		}
		var rest []string
		for _, f := range m.Finalizers {
			if f != tx.contract.Name {
				rest = append(rest, f)
			}
		}
		m.Finalizers = rest
	})
}

// Event tells people what happened to an object. Reason is one word in PascalCase; equal (about, reason) are counted.
func (tx *Tx) Event(about meta.Object, reason, format string, args ...any) {
	tx.note(about, false, reason, format, args)
}

// Warn is Event for what somebody should look at.
func (tx *Tx) Warn(about meta.Object, reason, format string, args ...any) {
	tx.note(about, true, reason, format, args)
}

// Notes are the events told so far.
func (tx *Tx) Notes() []Note { return tx.events }

func (tx *Tx) note(about meta.Object, warning bool, reason, format string, args []any) {
	tx.events = append(tx.events, Note{About: about.Key(), Warning: warning, Reason: reason, Message: fmt.Sprintf(format, args...)})
}

func (tx *Tx) put(k meta.Key, w *write) {
	if _, twice := tx.writes[k]; twice {
		tx.fail("writes %s twice in ways that do not add up", k)
		return
	}
	if tx.Room() == 0 {
		tx.fail("writes more than %d objects in one reconcile", store.MaxOps)
		return
	}
	tx.writes[k] = w
	tx.order = append(tx.order, k)
}

func (tx *Tx) mustRead(kind string) {
	if !tx.contract.reads(kind) {
		tx.fail("reads %s, which its contract does not name", kind)
	}
}

// fail remembers a breach of the contract; the whole transaction is then refused.
func (tx *Tx) fail(format string, args ...any) {
	if tx.err == nil {
		tx.err = fmt.Errorf("%w: controller %s %s", ErrContract, tx.contract.Name, fmt.Sprintf(format, args...))
	}
}
