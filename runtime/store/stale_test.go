package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
)

// hanging is a store whose reads wait until somebody gives up.
type hanging struct {
	store.Store
	until chan struct{}
}

func (h hanging) Get(ctx context.Context, key meta.Key) (meta.Object, error) {
	select {
	case <-h.until:
		return h.Store.Get(ctx, key)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (h hanging) List(ctx context.Context) ([]meta.Object, store.Revision, error) {
	return nil, 0, store.ErrUnavailable
}

func TestFallback(t *testing.T) {
	mem := memstore.New(meta.New[v1.Service]("web"))
	key := meta.Key{Kind: "Service", Name: "web"}
	var told []store.Stale
	ctx := store.OnStale(t.Context(), func(s store.Stale) { told = append(told, s) })
	doubt := errors.New("no leader answers")
	f := &store.Fallback{Store: hanging{mem, make(chan struct{})}, Local: mem, Patience: time.Millisecond,
		Stale: func(why error) store.Stale { return store.Stale{Node: "n1", Age: 3 * time.Second, Why: why} },
		Doubt: func(context.Context) error { return doubt }}
	if o, err := f.Get(ctx, key); err != nil || o.Key() != key || len(told) != 1 || !errors.Is(told[0].Why, doubt) {
		t.Errorf("without a leader: %v %v, told %v", o, err, told)
	}
	if _, err := f.Get(ctx, meta.Key{Kind: "Service", Name: "none"}); !errors.Is(err, store.ErrNotFound) || len(told) != 2 {
		t.Errorf("what is not there: %v, told %v", err, told)
	}
	if all, _, err := f.List(ctx); err != nil || len(all) != 1 || len(told) != 3 {
		t.Errorf("a list: %v %v, told %v", all, err, told)
	}

	// A leader that is there is waited for.
	slow := hanging{mem, make(chan struct{})}
	f.Store, f.Doubt = slow, func(context.Context) error { close(slow.until); return nil }
	if _, err := f.Get(ctx, key); err != nil || len(told) != 3 {
		t.Errorf("a slow majority: %v, told %v", err, told)
	}

	// Who does not want to know any more is told so.
	gone, cancel := context.WithCancel(ctx)
	cancel()
	f.Store, f.Doubt = hanging{mem, make(chan struct{})}, func(context.Context) error { return doubt }
	if _, err := f.Get(gone, key); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}
