package control

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
)

// Trace remembers the last commits and the reasons that their makers gave, in memory only: what a person asks for after
// "why?". Its zero value is ready; a nil Trace remembers nothing.
type Trace struct {
	mu    sync.Mutex
	all   []Decision // oldest first
	deeds int
}

// Decision is one commit as its maker explains it.
type Decision struct {
	// Revision is that of the commit, Seen that of the snapshot on which it was decided; 0 where a person decided.
	Revision, Seen store.Revision
	At             time.Time
	// Source is the controller, or the person: "user root". Item is the controller's work item.
	Source, Item string
	// Trigger is the first change since the last run that made the controller look; its Key is zero for a timer or a start.
	Trigger Trigger
	Deeds   []Deed
}

// Trigger is an object as of a revision.
type Trigger struct {
	Key      meta.Key
	Revision store.Revision
}

// Deed is what became of one object, and why.
type Deed struct {
	Key  meta.Key
	Done Done
	// Because is a clause that can follow "because"; empty where the maker gave none. From is the object that asked for it.
	Because string
	From    meta.Key
}

// Done says what was done with an object.
type Done string

// What can be done with an object.
const (
	Created Done = "created"
	Changed Done = "changed"
	Deleted Done = "deleted"
)

// maxDeeds bounds what a Trace remembers: some 100 bytes each.
const maxDeeds = 4000

// Add remembers a decision and forgets the oldest where there are too many.
func (t *Trace) Add(d Decision) {
	if t == nil || len(d.Deeds) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all, t.deeds = append(t.all, d), t.deeds+len(d.Deeds)
	drop := 0
	for t.deeds > maxDeeds && drop < len(t.all)-1 {
		t.deeds -= len(t.all[drop].Deeds)
		drop++
	}
	t.all = slices.Delete(t.all, 0, drop)
}

// All returns what is remembered, newest first.
func (t *Trace) All() []Decision {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	out := slices.Clone(t.all)
	slices.Reverse(out)
	return out
}

// decided remembers a commit of a reconcile.
func (e *Engine) decided(tx *Tx, it item, rev store.Revision) {
	if e.Trace == nil || len(tx.order) == 0 {
		return
	}
	d := Decision{Revision: rev, Seen: tx.snap.Revision, At: tx.now, Source: tx.contract.Name, Item: it.name, Trigger: e.triggers[it]}
	for _, k := range tx.order {
		if deed := tx.deed(k); deed.Done != Changed || deed.Because != "" {
			d.Deeds = append(d.Deeds, deed) // what is merely counted or reported explains nothing
		}
	}
	e.Trace.Add(d)
}

// triggered remembers what an item is about to run for, unless it waits already.
func (e *Engine) triggered(it item, by Trigger) {
	if e.Trace == nil {
		return
	}
	if _, waits := e.triggers[it]; !waits {
		e.triggers[it] = by
	}
}

func (tx *Tx) deed(k meta.Key) Deed {
	d := tx.because[k]
	w := tx.writes[k]
	switch d.Key = k; {
	case w.old == nil:
		d.Done = Created
	case w.new == nil || w.old.Meta().Deleted.IsZero() && !w.new.Meta().Deleted.IsZero():
		d.Done = Deleted
	default:
		d.Done = Changed
	}
	return d
}

// Because says why an object is written in this transaction, as a clause that can follow "because"; from is the object that
// asks for it, nil where none does. It changes nothing; people read it.
func (tx *Tx) Because(o, from meta.Object, format string, args ...any) {
	d := Deed{Because: fmt.Sprintf(format, args...)}
	if from != nil {
		d.From = from.Key()
	}
	if tx.because == nil {
		tx.because = map[meta.Key]Deed{}
	}
	tx.because[o.Key()] = d
}

// Explain says how it stands with an object that is left as it is: what it waits for, why nothing fits. It is kept only
// where somebody asked, by the function Explain.
func (tx *Tx) Explain(about meta.Object, format string, args ...any) {
	if tx.words != nil {
		tx.words[about.Key()] = append(tx.words[about.Key()], fmt.Sprintf(format, args...))
	}
}

// Explaining tells whether somebody will read what Explain says: words that are costly to find may be left out otherwise.
func (tx *Tx) Explaining() bool { return tx.words != nil }

// Explain runs a work item of a controller on a snapshot, commits nothing, and returns what it said about the objects that it
// looked at. The controller must have no effects but on its transaction.
func Explain(ctx context.Context, c Controller, snap *Snapshot, now time.Time, name string) (map[meta.Key][]string, error) {
	contract := c.Contract()
	tx := NewTx(snap, &contract, now)
	tx.words = map[meta.Key][]string{}
	if _, err := c.Reconcile(ctx, tx, name); err != nil {
		return nil, fmt.Errorf("explain %s %s: %w", contract.Name, name, err)
	}
	return tx.words, nil
}
