package control

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
)

// Run drives the engine until ctx ends or leadership is lost (ErrFenced). A broken watch is taken up again by listing anew;
// meanwhile work goes on with what was seen last, so that an agent that is cut off still restarts what crashes. Before the
// first list nothing runs: an empty view is no view. Controllers whose contracts do not fit together are not run.
func (e *Engine) Run(ctx context.Context) error {
	e.init()
	if err := e.checkContracts(); err != nil {
		return fmt.Errorf("engine %s: %w", e.Name, err)
	}
	var wait time.Duration
	for failed := 0; ctx.Err() == nil; {
		l, err := e.relist(ctx, wait)
		if err == nil {
			failed, wait = 0, 0
			e.Load(l.objects, l.revision)
			err = e.follow(ctx, l.revision)
		}
		switch {
		case errors.Is(err, store.ErrFenced):
			return fmt.Errorf("engine %s: %w", e.Name, err)
		case ctx.Err() != nil || errors.Is(err, store.ErrCompacted):
			continue
		}
		e.Log.Error(err, "view of the store is lost, listing again", "engine", e.Name)
		failed++
		wait = backoff(item{name: e.Name}, min(failed+2, 11))
	}
	return ctx.Err()
}

// listing is the answer to List.
type listing struct {
	objects  []meta.Object
	revision store.Revision
	err      error
}

// relist waits, lists, and works on meanwhile with what the engine has.
func (e *Engine) relist(ctx context.Context, wait time.Duration) (listing, error) {
	e.Lost()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answer := make(chan listing, 1)
	go func() {
		var l listing
		pause(ctx, wait)
		l.objects, l.revision, l.err = e.Store.List(ctx)
		answer <- l
	}()
	if e.snap == nil {
		l := <-answer
		return l, l.err
	}
	return e.work(ctx, nil, answer)
}

func (e *Engine) checkContracts() error {
	var all []Contract
	for _, p := range e.parts {
		all = append(all, p.contract)
	}
	return CheckContracts(e.Kinds, all)
}

// follow works until the watch ends.
func (e *Engine) follow(ctx context.Context, rev store.Revision) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_, err := e.work(ctx, e.Store.Watch(ctx, rev), nil)
	return err
}

// work runs what is due until the watch ends or a listing comes; whichever is nil never does.
func (e *Engine) work(ctx context.Context, watch <-chan store.Batch, answer <-chan listing) (listing, error) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if err := e.drain(ctx, watch); err != nil {
			return listing{}, err
		}
		timer.Reset(e.wait())
		select {
		case b, ok := <-watch:
			if err := e.take(b, ok); err != nil {
				return listing{}, err
			}
		case l := <-answer:
			return l, l.err
		case <-e.pokes.wake():
		case <-timer.C:
		case <-ctx.Done():
			return listing{}, ctx.Err()
		}
	}
}

// drain runs what is due; between two reconciles it takes in what has come meanwhile, so that each sees the newest state.
func (e *Engine) drain(ctx context.Context, watch <-chan store.Batch) error {
	for {
		for more := true; more; {
			select {
			case b, ok := <-watch:
				if err := e.take(b, ok); err != nil {
					return err
				}
			default:
				more = false
			}
		}
		e.takePokes()
		if ran, err := e.Step(ctx); !ran || err != nil {
			return err
		}
	}
}

func (e *Engine) take(b store.Batch, ok bool) error {
	if !ok {
		return errWatchClosed
	}
	if b.Err != nil {
		return b.Err
	}
	e.Apply(b)
	return nil
}

var errWatchClosed = errors.New("watch was closed")

func (e *Engine) wait() time.Duration {
	at, ok := e.queue.next()
	if !ok {
		return time.Hour
	}
	return max(at.Sub(e.Now()), 0)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// pokes are requests from outside to look at an item again.
type pokes struct {
	mu     sync.Mutex
	asked  []poke
	signal chan struct{}
}

type poke struct{ controller, item string }

// wake is made when it is first asked for: a poke may come before the engine has its controllers, and must not begin anything.
func (p *pokes) wake() chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.signal == nil {
		p.signal = make(chan struct{}, 1)
	}
	return p.signal
}

// Poke asks to run a work item again because something outside the store changed. It may be called from anywhere.
func (e *Engine) Poke(controller, name string) {
	e.pokes.mu.Lock()
	e.pokes.asked = append(e.pokes.asked, poke{controller, name})
	e.pokes.mu.Unlock()
	select {
	case e.pokes.wake() <- struct{}{}:
	default:
	}
}

func (e *Engine) takePokes() {
	e.pokes.mu.Lock()
	asked := e.pokes.asked
	e.pokes.asked = nil
	e.pokes.mu.Unlock()
	for _, p := range asked {
		for i := range e.parts {
			if e.parts[i].contract.Name == p.controller {
				e.enqueue(i, p.item)
			}
		}
	}
}

// Kick takes in pokes at once: for engines driven by Step.
func (e *Engine) Kick() { e.takePokes() }
