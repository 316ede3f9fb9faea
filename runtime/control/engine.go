package control

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
)

// Engine runs a group of controllers over one store. One reconcile runs at a time, so that the order of effects follows from
// the order of inputs; what is slow runs inside a host, not here.
//
// Run drives it with a clock and a watch. Load, Apply, Step and Next are the same machine by hand, for the simulation.
type Engine struct {
	Name        string // for logs
	Store       store.Store
	Kinds       meta.Kinds
	Controllers []Controller
	Now         func() time.Time // nil: the wall clock
	Log         logr.Logger
	// Record makes the Event object for a note; find looks into the snapshot. nil: events are dropped.
	Record func(find func(meta.Key) (meta.Object, bool), source string, n Note, now time.Time) meta.Object
	// Done, if set, is told of every reconcile that ended: for metrics, traces and tests.
	Done func(Outcome)
	// Trace, if set, remembers what was committed and why.
	Trace *Trace

	once  sync.Once
	snap  *Snapshot
	seen  atomic.Pointer[Snapshot] // snap, for those who look on
	queue queue
	parts []part
	fails map[item]int
	pokes pokes
	// triggers say what the items that wait will run for; those of timers are missing.
	triggers map[item]Trigger
}

// part is the engine's side of one controller.
type part struct {
	Controller
	contract Contract
	// behind holds items back until the snapshot contains the controller's own last commit.
	own    store.Revision
	behind []item
}

// Outcome is one reconcile that ended.
type Outcome struct {
	Controller, Item string
	Ops              int // committed operations, events among them
	Took             time.Duration
	Err              error
}

func (e *Engine) init() {
	e.once.Do(func() {
		if e.Now == nil {
			e.Now = time.Now
		}
		e.fails, e.triggers = map[item]int{}, map[item]Trigger{}
		for _, c := range e.Controllers {
			e.parts = append(e.parts, part{Controller: c, contract: c.Contract()})
		}
	})
}

// Load starts from a list. Loading again after a lost watch runs every work item anew, those that vanished meanwhile too.
func (e *Engine) Load(objects []meta.Object, rev store.Revision) {
	e.init()
	before := e.snap
	e.forgive() // a list is new enough, and a restored store may never again come to where it was
	e.snap = NewSnapshot(e.Kinds, objects, rev)
	e.seen.Store(e.snap)
	for i := range e.parts {
		e.enqueueAll(i, before)
		e.enqueueAll(i, e.snap)
	}
	e.release()
}

// Lost says that the watch is gone. Until the next Load the engine goes on with what it has, and holds nothing back for its
// own commits, which do not come any more: guards keep it from harm. Whoever drives the engine by hand calls it; Run does.
func (e *Engine) Lost() {
	e.init()
	if e.snap != nil {
		e.forgive()
		e.release()
	}
}

func (e *Engine) forgive() {
	for i := range e.parts {
		e.parts[i].own = 0
	}
}

func (e *Engine) enqueueAll(i int, s *Snapshot) {
	kind := e.parts[i].contract.Kind
	if kind == "" {
		e.enqueue(i, "")
		return
	}
	if s != nil {
		s.Each(kind, func(o meta.Object) bool { e.enqueue(i, o.Key().Name); return true })
	}
}

// Apply takes in one commit and schedules whom it concerns.
func (e *Engine) Apply(b store.Batch) {
	if b.Revision <= e.snap.Revision {
		return
	}
	before := e.snap
	e.snap = before.With(b)
	e.seen.Store(e.snap)
	for _, c := range b.Changes {
		old, _ := before.Get(c.Key)
		e.dispatch(Trigger{c.Key, b.Revision}, old, c.Object)
	}
	e.release()
}

func (e *Engine) dispatch(by Trigger, old, new meta.Object) {
	if old == nil && new == nil {
		return
	}
	for i := range e.parts {
		c := &e.parts[i].contract
		for _, in := range c.Reads {
			if in.Kind != by.Key.Kind {
				continue
			}
			for _, name := range e.concerned(c, in, old, new) {
				if name == everything {
					e.enqueueAll(i, e.snap)
				} else {
					e.triggered(item{i, name}, by)
					e.enqueue(i, name)
				}
			}
		}
	}
}

// concerned asks an input for the work items of a change. Where that panics, all of them are.
func (e *Engine) concerned(c *Contract, in Input, old, new meta.Object) (names []string) {
	defer func() {
		if r := recover(); r != nil {
			e.Log.Error(ErrContract, "input panicked, running all items", "controller", c.Name, "kind", in.Kind, "panic", fmt.Sprint(r))
			names = All
		}
	}()
	return in.items(c, old, new)
}

func (e *Engine) enqueue(i int, name string) { e.queue.add(item{i, name}, e.Now()) }

// release lets items go on whose controller's last commit has arrived.
func (e *Engine) release() {
	for i := range e.parts {
		p := &e.parts[i]
		if len(p.behind) == 0 || p.own > e.snap.Revision {
			continue
		}
		for _, it := range p.behind {
			e.queue.add(it, e.Now())
		}
		p.behind = nil
	}
}

// Snapshot is what the engine knows now; nil before Load. For those who drive the engine by hand: while Run runs it is Run's.
func (e *Engine) Snapshot() *Snapshot { return e.snap }

// Next is when the engine has something to do, if nothing else happens.
func (e *Engine) Next() (time.Time, bool) { return e.queue.next() }

// Step runs one work item that is due, if there is one. The error is ErrFenced or the context's: the engine must end; or
// ErrUnknown: it must Load again before it goes on, since what it has just written may be missing in what it sees.
func (e *Engine) Step(ctx context.Context) (bool, error) {
	it, ok := e.queue.pop(e.Now())
	if !ok {
		return false, ctx.Err()
	}
	p := &e.parts[it.controller]
	if p.own > e.snap.Revision {
		p.behind = append(p.behind, it)
		return true, nil
	}
	start := time.Now()
	n, res, err := e.reconcile(ctx, p, it)
	if e.Done != nil {
		e.Done(Outcome{p.contract.Name, it.name, n, time.Since(start), err})
	}
	if errors.Is(err, store.ErrFenced) || ctx.Err() != nil {
		return true, errors.Join(ctx.Err(), err)
	}
	e.after(p, it, res, err)
	if errors.Is(err, store.ErrUnknown) {
		return true, err
	}
	return true, nil
}

func (e *Engine) reconcile(ctx context.Context, p *part, it item) (int, Result, error) {
	tx := NewTx(e.snap, &p.contract, e.Now())
	res, err := guarded(ctx, p, tx, it.name)
	if err != nil {
		return 0, res, err
	}
	ops, err := tx.Ops()
	if err != nil {
		return 0, res, err
	}
	ops = append(ops, e.eventOps(tx)...)
	if len(ops) == 0 {
		return 0, res, nil
	}
	rev, err := e.Store.Commit(ctx, ops...)
	if err != nil {
		return 0, res, err
	}
	p.own = rev
	e.decided(tx, it, rev)
	return len(ops), res, nil
}

// guarded turns a panic into an error: one broken controller must not take the node's other controllers with it.
func guarded(ctx context.Context, p *part, tx *Tx, name string) (res Result, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: controller %s panicked: %v\n%s", ErrContract, p.contract.Name, r, debug.Stack())
		}
	}()
	return p.Reconcile(ctx, tx, name)
}

// maxEvents bounds what one reconcile may tell.
const maxEvents = 20

func (e *Engine) eventOps(tx *Tx) []store.Op {
	if e.Record == nil {
		return nil
	}
	var ops []store.Op
	seen := map[meta.Key]bool{}
	for _, n := range tx.events {
		o := e.Record(tx.snap.Get, tx.contract.Name, n, tx.now)
		if k := o.Key(); !seen[k] && len(ops) < maxEvents {
			seen[k] = true
			// Nobody waits for an event, so none may make a commit fail: the last writer wins.
			ops = append(ops, store.Op{Verb: store.Put, Key: k, Object: o, Guard: store.Any})
		}
	}
	return ops
}

// after schedules the item again where its result or its failure asks for it.
func (e *Engine) after(p *part, it item, res Result, err error) {
	if err == nil {
		delete(e.fails, it)
		delete(e.triggers, it)
		if res.After > 0 {
			e.queue.add(it, e.Now().Add(res.After))
		}
		return
	}
	e.fails[it]++
	wait := backoff(it, e.fails[it])
	e.queue.add(it, e.Now().Add(wait))
	switch {
	case errors.Is(err, store.ErrConflict):
		e.Log.V(1).Info("commit conflicts, trying again", "controller", p.contract.Name, "item", it.name, "cause", err.Error())
	case e.fails[it] == 1 || errors.Is(err, ErrContract):
		e.Log.Error(err, "reconcile failed, trying again", "controller", p.contract.Name, "item", it.name, "wait", wait.String())
	}
}

// Bounds of the wait after a failed reconcile.
const (
	minBackoff = 10 * time.Millisecond
	maxBackoff = 30 * time.Second
)

// backoff doubles with each failure in a row. The jitter, up to a quarter, comes from the item itself: equal runs are equal.
func backoff(it item, fails int) time.Duration {
	d := maxBackoff
	if fails < 12 {
		d = min(minBackoff<<(fails-1), maxBackoff)
	}
	h := fnv.New32a()
	fmt.Fprintf(h, "%d/%s/%d", it.controller, it.name, fails)
	return d - d/4*time.Duration(h.Sum32()%1000)/1000
}
