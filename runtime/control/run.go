package control

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"warren.io/warren/runtime/store"
)

// Run drives the engine until ctx ends or leadership is lost (ErrFenced). A broken watch is taken up again by listing anew;
// while the store cannot be reached nothing runs on an empty view. Controllers whose contracts do not fit together are not run.
func (e *Engine) Run(ctx context.Context) error {
	e.init()
	if err := e.checkContracts(); err != nil {
		return fmt.Errorf("engine %s: %w", e.Name, err)
	}
	for failed := 0; ctx.Err() == nil; failed++ {
		objects, rev, err := e.Store.List(ctx)
		if err == nil {
			failed = 0
			e.Load(objects, rev)
			err = e.follow(ctx, rev)
		}
		if errors.Is(err, store.ErrFenced) {
			return fmt.Errorf("engine %s: %w", e.Name, err)
		}
		if ctx.Err() != nil || errors.Is(err, store.ErrCompacted) {
			continue
		}
		e.Log.Error(err, "watch ended, listing again", "engine", e.Name)
		pause(ctx, backoff(item{name: e.Name}, min(failed+4, 11)))
	}
	return ctx.Err()
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
	watch := e.Store.Watch(ctx, rev)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if err := e.drain(ctx, watch); err != nil {
			return err
		}
		timer.Reset(e.wait())
		select {
		case b, ok := <-watch:
			if err := e.take(b, ok); err != nil {
				return err
			}
		case <-e.pokes.signal:
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
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

// Poke asks to run a work item again because something outside the store changed. It may be called from anywhere.
func (e *Engine) Poke(controller, name string) {
	e.init()
	e.pokes.mu.Lock()
	e.pokes.asked = append(e.pokes.asked, poke{controller, name})
	e.pokes.mu.Unlock()
	select {
	case e.pokes.signal <- struct{}{}:
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
