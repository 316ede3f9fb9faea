package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/controllers/events"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/store"
)

// actor is one engine with its link to the store. It is the store that its engine sees.
type actor struct {
	w       *World
	name    string
	engine  *control.Engine
	make    func() []control.Controller
	visible func(meta.Object) bool // nil: all
	skew    time.Duration
	lag     time.Duration // more than others have
	cut     bool
	asleep  bool // stopped by a signal
	fenced  bool // a newer leader has taken over
	loaded  bool
	inbox   []store.Batch // in order; not yet seen by the engine
	due     []time.Time   // when each arrives
	armed   time.Time     // the timer that is set
	lost    func()        // what to do when fenced
	hot     bool          // in the world's list of those to look at
	gone    bool          // removed from the world
	boots   int
	wrote   []meta.Key // by the commit of the reconcile that just ended
	told    bool       // that it is fenced
}

// touch has the world look at this actor before time goes on.
func (a *actor) touch() {
	if !a.hot {
		a.hot = true
		a.w.hot = append(a.w.hot, a)
	}
}

// boot starts the engine anew, as after a restart of its process.
func (a *actor) boot() {
	a.engine = &control.Engine{
		Name: a.name, Store: a, Kinds: v1.Kinds, Controllers: a.make(), Log: logr.Discard(), Record: events.Record,
		Now:  func() time.Time { return a.w.now.Add(a.skew) },
		Done: a.done,
	}
	a.loaded, a.inbox, a.due = false, nil, nil
	a.boots++
	a.touch()
}

// done hears of every reconcile. A controller that conflicts with what it wrote itself, and was told so, has run on a snapshot
// older than its own commit.
func (a *actor) done(o control.Outcome) {
	if errors.Is(o.Err, control.ErrContract) {
		a.w.fail("%s: %v", a.name, o.Err)
	}
	me := fmt.Sprintf("%p/%d/%s", a, a.boots, o.Controller)
	for _, k := range a.wrote {
		a.w.check.authors[k] = me
	}
	a.wrote = nil
	var conflict *store.ConflictError
	if errors.As(o.Err, &conflict) && a.w.check.authors[conflict.Key] == me {
		a.w.fail("%s: %s conflicts with its own write: %v", a.name, o.Controller, o.Err)
	}
}

// load lists the store, if it can be reached.
func (a *actor) load() {
	if a.cut || a.loaded {
		return
	}
	objects, rev, err := a.List(context.Background())
	if err != nil {
		a.w.fail("%s: list: %v", a.name, err)
		return
	}
	a.engine.Load(objects, rev)
	a.loaded, a.inbox, a.due = true, nil, nil
}

// deliver puts a commit on its way. What this actor cannot see is left out; a batch of which nothing is left is not sent.
func (a *actor) deliver(b store.Batch) {
	if !a.loaded {
		return
	}
	if a.visible != nil {
		b.Changes = a.narrow(b.Changes)
	}
	if len(b.Changes) == 0 {
		return
	}
	at := a.w.now.Add(a.w.upTo(a.w.Lag) + a.lag)
	if n := len(a.due); n > 0 && at.Before(a.due[n-1]) {
		at = a.due[n-1] // a stream keeps its order
	}
	a.inbox, a.due = append(a.inbox, b), append(a.due, at)
	a.touch()
}

func (a *actor) narrow(changes []store.Change) []store.Change {
	var out []store.Change
	for _, c := range changes {
		if c.Object != nil && a.visible(c.Object) {
			out = append(out, c)
		} else if c.Object == nil && a.knows(c.Key) { // what cannot be seen never could: tasks do not move
			out = append(out, store.Change{Key: c.Key})
		}
	}
	return out
}

// knows tells whether this actor was ever shown an object.
func (a *actor) knows(k meta.Key) bool {
	if _, ok := a.engine.Snapshot().Get(k); ok {
		return true
	}
	for _, b := range a.inbox {
		for _, c := range b.Changes {
			if c.Key == k {
				return true
			}
		}
	}
	return false
}

// dueAt tells whether the actor has something to do by now.
func (a *actor) dueAt(now time.Time) bool {
	if a.asleep {
		return false
	}
	if !a.loaded {
		return !a.cut
	}
	if !a.cut && len(a.due) > 0 && !a.due[0].After(now) {
		return true
	}
	at, ok := a.engine.Next()
	return ok && !at.After(now.Add(a.skew))
}

// step takes in one arrived commit, or runs one reconcile.
func (a *actor) step() {
	if !a.loaded {
		a.load()
		return
	}
	a.engine.Kick()
	if !a.cut && len(a.due) > 0 && !a.due[0].After(a.w.now) {
		b := a.inbox[0]
		a.inbox, a.due = a.inbox[1:], a.due[1:]
		a.engine.Apply(b)
		return
	}
	_, err := a.engine.Step(context.Background())
	switch {
	case errors.Is(err, store.ErrFenced) && a.lost != nil:
		a.lost()
	case errors.Is(err, store.ErrUnknown):
		a.relist()
	}
}

// arm sets a timer for the next thing that this actor will do by itself.
func (a *actor) arm() {
	if a.asleep {
		return
	}
	var next time.Time
	if at, ok := a.engine.Next(); a.loaded && ok {
		next = at.Add(-a.skew)
	}
	if !a.cut && len(a.due) > 0 && (next.IsZero() || a.due[0].Before(next)) {
		next = a.due[0]
	}
	if !next.IsZero() && (a.armed.IsZero() || next.Before(a.armed)) { // an earlier one will come by and arm again
		a.armed = next
		a.w.timers.set(next, func() { a.ring(next) })
	}
}

func (a *actor) ring(at time.Time) {
	if a.armed.Equal(at) {
		a.armed = time.Time{}
	}
	a.touch()
}

// The store as the actor sees it.

// Get implements store.Store.
func (a *actor) Get(ctx context.Context, k meta.Key) (meta.Object, error) {
	if a.cut {
		return nil, store.ErrUnavailable
	}
	return a.w.store.Get(ctx, k)
}

// List implements store.Store.
func (a *actor) List(ctx context.Context) ([]meta.Object, store.Revision, error) {
	if a.cut {
		return nil, 0, store.ErrUnavailable
	}
	all, rev, err := a.w.store.List(ctx)
	if a.visible == nil {
		return all, rev, err
	}
	var out []meta.Object
	for _, o := range all {
		if a.visible(o) {
			out = append(out, o)
		}
	}
	return out, rev, err
}

// Watch is not used: the world delivers.
func (a *actor) Watch(context.Context, store.Revision) <-chan store.Batch { return nil }

// Commit implements store.Store with the faults of a network.
func (a *actor) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	switch {
	case a.cut:
		return 0, fmt.Errorf("commit: %w", store.ErrUnavailable)
	case a.fenced:
		if a.told {
			a.w.fail("%s: goes on after it was told that it is deposed", a.name)
		}
		a.told = true
		return 0, store.ErrFenced
	}
	if a.w.chance(a.w.LostAnswers) {
		return 0, fmt.Errorf("commit: %w", store.ErrUnavailable) // it did not even get there
	}
	a.w.check.writer = a
	rev, err := a.w.store.Commit(ctx, ops...)
	if err != nil {
		return rev, err
	}
	a.sign(ops)
	if a.w.chance(a.w.LostAnswers) {
		a.wrote = nil
		return 0, store.ErrUnknown
	}
	return rev, nil
}

// sign notes what a commit wrote. Events are nobody's.
func (a *actor) sign(ops []store.Op) {
	if a.w.Loose {
		return
	}
	for _, op := range ops {
		delete(a.w.check.authors, op.Key)
		if op.Guard != store.Any {
			a.wrote = append(a.wrote, op.Key)
		}
	}
}

// stepOnly runs one reconcile without taking anything in.
func (a *actor) stepOnly() {
	if _, err := a.engine.Step(context.Background()); err != nil && !errors.Is(err, store.ErrUnknown) {
		a.w.fail("%s: %v", a.name, err)
	}
}

// cutOff takes the link away: nobody lists and nothing arrives until it is back.
func (a *actor) cutOff() {
	a.cut = true
	if a.engine.Lost(); a.loaded {
		a.touch()
	}
}

// relist takes the watch away: the engine keeps its snapshot, and lists anew.
func (a *actor) relist() {
	a.loaded = false
	a.touch()
}
