package store

import (
	"context"
	"fmt"
	"sync"

	"warren.io/warren/apis/meta"
)

// Late is a store that is not there yet: until Open, every call fails with ErrUnavailable and the reason given last. It lets
// an API answer, and say what is wrong, before the store below it has started.
type Late struct {
	mu    sync.RWMutex
	inner Store
	why   string
}

// NewLate returns a store that is not there for a reason.
func NewLate(why string) *Late { return &Late{why: why} }

// Open lets calls through to the store.
func (l *Late) Open(inner Store) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inner = inner
}

// Explain says anew why the store is not there.
func (l *Late) Explain(why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inner, l.why = nil, why
}

func (l *Late) open() (Store, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.inner == nil {
		return nil, fmt.Errorf("%w: %s", ErrUnavailable, l.why)
	}
	return l.inner, nil
}

// Get implements Store.
func (l *Late) Get(ctx context.Context, key meta.Key) (meta.Object, error) {
	s, err := l.open()
	if err != nil {
		return nil, err
	}
	return s.Get(ctx, key)
}

// List implements Store.
func (l *Late) List(ctx context.Context) ([]meta.Object, Revision, error) {
	s, err := l.open()
	if err != nil {
		return nil, 0, err
	}
	return s.List(ctx)
}

// Watch implements Store.
func (l *Late) Watch(ctx context.Context, after Revision) <-chan Batch {
	s, err := l.open()
	if err != nil {
		out := make(chan Batch, 1)
		out <- Batch{Err: err}
		close(out)
		return out
	}
	return s.Watch(ctx, after)
}

// Commit implements Store.
func (l *Late) Commit(ctx context.Context, ops ...Op) (Revision, error) {
	s, err := l.open()
	if err != nil {
		return 0, err
	}
	return s.Commit(ctx, ops...)
}
