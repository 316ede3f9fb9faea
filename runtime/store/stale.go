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

// Fallback returns a store that reads from local where main is unavailable, and tells so (OnStale). Everything else is
// main's.
func Fallback(main, local Store, stale func(why error) Stale) Store {
	return &fallback{Store: main, local: local, stale: stale}
}

type fallback struct {
	Store
	local Store
	stale func(error) Stale
}

// Get implements Store.
func (f *fallback) Get(ctx context.Context, key meta.Key) (meta.Object, error) {
	o, err := f.Store.Get(ctx, key)
	if !errors.Is(err, ErrUnavailable) {
		return o, err
	}
	if o, local := f.local.Get(ctx, key); local == nil || errors.Is(local, ErrNotFound) {
		TellStale(ctx, f.stale(err))
		return o, local
	}
	return nil, err
}

// List implements Store.
func (f *fallback) List(ctx context.Context) ([]meta.Object, Revision, error) {
	all, rev, err := f.Store.List(ctx)
	if !errors.Is(err, ErrUnavailable) {
		return all, rev, err
	}
	if all, rev, local := f.local.List(ctx); local == nil {
		TellStale(ctx, f.stale(err))
		return all, rev, nil
	}
	return nil, 0, err
}
