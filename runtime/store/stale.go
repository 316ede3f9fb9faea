package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"warren.io/warren/apis/meta"
)

// Stale says that an answer may be old.
type Stale struct {
	Node string        // that answers alone
	Age  time.Duration // what happened since then, it cannot know
	Why  error
}

// String is the same for people.
func (s Stale) String() string {
	return fmt.Sprintf("%s answers alone, as of %s ago: %v", s.Node, s.Age.Round(time.Second), s.Why)
}

type staleKey struct{}

// OnStale returns a context in which reads tell f when what they answer may be old.
func OnStale(ctx context.Context, f func(Stale)) context.Context {
	return context.WithValue(ctx, staleKey{}, f)
}

// TellStale tells whoever asked for it that an answer may be old.
func TellStale(ctx context.Context, s Stale) {
	if f, ok := ctx.Value(staleKey{}).(func(Stale)); ok {
		f(s)
	}
}

// Fallback returns a store that reads from Local where Main is unavailable, and tells so (OnStale). Everything else is Main's.
type Fallback struct {
	Store       // Main
	Local Store // answers alone
	// Stale makes what is told.
	Stale func(why error) Stale
	// Doubt is asked after Patience without an answer whether one can be expected; its error says why not.
	Doubt    func(ctx context.Context) error
	Patience time.Duration
}

// Get implements Store.
func (f *Fallback) Get(ctx context.Context, key meta.Key) (o meta.Object, err error) {
	err = f.try(ctx, func(ctx context.Context) (err error) {
		o, err = f.Store.Get(ctx, key)
		return err
	})
	if !errors.Is(err, ErrUnavailable) {
		return o, err
	}
	if o, local := f.Local.Get(ctx, key); local == nil || errors.Is(local, ErrNotFound) {
		TellStale(ctx, f.Stale(err))
		return o, local
	}
	return nil, err
}

// List implements Store.
func (f *Fallback) List(ctx context.Context) (all []meta.Object, rev Revision, err error) {
	err = f.try(ctx, func(ctx context.Context) (err error) {
		all, rev, err = f.Store.List(ctx)
		return err
	})
	if !errors.Is(err, ErrUnavailable) {
		return all, rev, err
	}
	if all, rev, local := f.Local.List(ctx); local == nil {
		TellStale(ctx, f.Stale(err))
		return all, rev, nil
	}
	return nil, 0, err
}

// try reads, and gives up when there is reason to: while a leader is elected nobody answers for a second.
func (f *Fallback) try(ctx context.Context, read func(context.Context) error) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- read(inner) }()
	patience := time.NewTimer(f.Patience)
	defer patience.Stop()
	select {
	case err := <-done:
		return err
	case <-patience.C:
	}
	doubt := make(chan error, 1)
	go func() { doubt <- f.Doubt(inner) }()
	select {
	case err := <-done:
		return err
	case why := <-doubt:
		if why == nil {
			return <-done
		}
		cancel()
		if err := <-done; err == nil || ctx.Err() != nil {
			return err
		}
		return fmt.Errorf("%w: %w", ErrUnavailable, why)
	}
}
