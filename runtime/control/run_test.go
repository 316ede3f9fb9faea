package control

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
)

// flaky is a store whose parts can be taken away.
type flaky struct {
	store.Store
	mu     sync.Mutex
	away   bool
	breaks []context.CancelFunc // of the watches that are open
	with   error                // the last batch of a watch that is broken
	fenced bool
	lists  int
}

func (f *flaky) List(ctx context.Context) ([]meta.Object, store.Revision, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lists++; f.away {
		return nil, 0, store.ErrUnavailable
	}
	return f.Store.List(ctx)
}

func (f *flaky) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.fenced:
		return 0, store.ErrFenced
	case f.away:
		return 0, store.ErrUnavailable
	}
	return f.Store.Commit(ctx, ops...)
}

func (f *flaky) Watch(ctx context.Context, after store.Revision) <-chan store.Batch {
	out := make(chan store.Batch)
	f.mu.Lock()
	defer f.mu.Unlock()
	sub, cancel := context.WithCancel(ctx)
	f.breaks = append(f.breaks, cancel)
	go func() {
		defer close(out)
		for b := range f.Store.Watch(sub, after) {
			select {
			case out <- b:
			case <-ctx.Done():
				return
			}
		}
		f.mu.Lock()
		with := f.with
		f.mu.Unlock()
		if with != nil {
			select {
			case out <- store.Batch{Err: with}:
			case <-ctx.Done():
			}
		}
	}()
	return out
}

// cut breaks all watches; with is what they say last.
func (f *flaky) cut(away bool, with error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away, f.with = away, with
	for _, b := range f.breaks {
		b()
	}
	f.breaks = nil
}

// counter sets Status.Ready of each service to the generation it saw, and counts its runs.
func counter(runs *atomic.Int64) Controller {
	return labeler(func(tx *Tx, name string) (Result, error) {
		runs.Add(1)
		if s, ok := Get[v1.Service](tx, name); ok {
			Modify(tx, s, ready(int(s.Metadata.Generation)))
		}
		return Result{}, nil
	})
}

// started runs an engine over a store of one service until the test ends.
func started(t *testing.T, runs *atomic.Int64) (*Engine, *flaky, <-chan error) {
	f := &flaky{Store: memstore.New(service("web"))}
	e := &Engine{Name: "test", Store: f, Kinds: v1.Kinds, Controllers: []Controller{counter(runs)}, Log: logr.Discard()}
	ended := make(chan error, 1)
	go func() { ended <- e.Run(t.Context()) }()
	synctest.Wait()
	return e, f, ended
}

func user(t *testing.T, f *flaky) {
	t.Helper()
	o, err := f.Store.Get(t.Context(), meta.Key{Kind: "Service", Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	n := o.Clone()
	n.Meta().Generation++
	if _, err := f.Store.Commit(t.Context(), store.UpdateOp(n)); err != nil {
		t.Fatal(err)
	}
}

func observed(t *testing.T, f *flaky) bool {
	t.Helper()
	o, err := f.Store.Get(t.Context(), meta.Key{Kind: "Service", Name: "web"})
	return err == nil && int64(o.(*v1.Service).Status.Ready) == o.Meta().Generation
}

func TestRunFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		e, f, _ := started(t, &runs)
		for range 3 {
			user(t, f)
			synctest.Wait()
			if !observed(t, f) {
				t.Fatal("a change was not seen")
			}
		}
		before := runs.Load()
		e.Poke("labeler", "web")
		synctest.Wait()
		if runs.Load() != before+1 {
			t.Error("a poke did not run it")
		}
		time.Sleep(3 * time.Hour)
		if n := runs.Load(); n != before+1 {
			t.Errorf("%d runs in hours of silence", n-before-1)
		}
	})
}

func TestRunTakesUpABrokenWatch(t *testing.T) {
	for name, with := range map[string]error{"closed": nil, "compacted": store.ErrCompacted, "broken": store.ErrUnavailable} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var runs atomic.Int64
				_, f, _ := started(t, &runs)
				f.cut(true, with)
				user(t, f)
				time.Sleep(time.Minute)
				f.mu.Lock()
				lists := f.lists
				f.mu.Unlock()
				if lists > 30 {
					t.Errorf("listed %d times in a minute", lists)
				}
				f.cut(false, nil)
				time.Sleep(time.Minute)
				if !observed(t, f) {
					t.Error("a change while the store was away was not seen")
				}
			})
		})
	}
}

// Cut off, an engine goes on with what it saw last: agents restart what crashes.
func TestRunWorksOnWhileCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		e, f, _ := started(t, &runs)
		f.cut(true, nil)
		synctest.Wait()
		before := runs.Load()
		for range 3 {
			e.Poke("labeler", "web")
			time.Sleep(time.Second)
		}
		if n := runs.Load() - before; n != 3 {
			t.Errorf("%d runs for 3 pokes", n)
		}
	})
}

func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		_, f, ended := started(t, &runs)
		f.mu.Lock()
		f.fenced = true
		f.mu.Unlock()
		user(t, f)
		if err := <-ended; !errors.Is(err, store.ErrFenced) {
			t.Errorf("deposed, Run ends with %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		e := &Engine{Store: memstore.New(), Kinds: v1.Kinds, Log: logr.Discard()}
		time.AfterFunc(time.Second, cancel)
		if err := e.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("asked to end, Run ends with %v", err)
		}
	})
	broken := actor{contract: Contract{Name: "a", Kind: "Node"}}
	e := &Engine{Store: memstore.New(), Kinds: v1.Kinds, Controllers: []Controller{broken}, Log: logr.Discard()}
	if err := e.Run(t.Context()); err == nil {
		t.Error("ran with a contract that cannot be held")
	}
}

// TestRunForReal is for the race detector: writers, pokes and an engine on the real clock.
func TestRunForReal(t *testing.T) {
	var runs atomic.Int64
	f := &flaky{Store: memstore.New(service("web"))}
	e := &Engine{Name: "test", Store: f, Kinds: v1.Kinds, Controllers: []Controller{counter(&runs)}, Log: logr.Discard()}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	for i := range 200 {
		o, _ := f.Get(ctx, meta.Key{Kind: "Service", Name: "web"})
		n := o.Clone()
		n.Meta().Generation++
		_, _ = f.Store.Commit(ctx, store.UpdateOp(n)) // the engine may have been faster
		e.Poke("labeler", "web")
		if i%50 == 0 {
			f.cut(false, nil)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); !observed(t, f) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-ended
	if !observed(t, f) {
		t.Error("the last change was not seen")
	}
}
