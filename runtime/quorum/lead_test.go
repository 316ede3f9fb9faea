package quorum

import (
	"context"
	"errors"
	"testing"

	"warren.io/warren/runtime/store"
)

// reigns runs Lead and passes each term's store on.
func reigns(t *testing.T, q *Quorum) (<-chan store.Store, context.CancelFunc, <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	terms, ended := make(chan store.Store), make(chan error, 1)
	go func() {
		ended <- q.Lead(ctx, func(ctx context.Context, s store.Store) error {
			terms <- s
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	return terms, cancel, ended
}

func TestLead(t *testing.T) {
	q := start(t, Config{})
	terms, cancel, ended := reigns(t, q)
	first := <-terms
	commit(t, first, store.CreateOp(service("web")))
	if err := q.Lead(t.Context(), nil); err == nil {
		t.Fatal("two reigns at a time")
	}

	usurper, err := q.client.Put(t.Context(), leadKey, "somebody else")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Commit(t.Context(), store.CreateOp(service("late"))); !errors.Is(err, store.ErrFenced) {
		t.Fatalf("a deposed leader's commit: %v", err)
	}
	second := <-terms
	if rev := commit(t, second, store.CreateOp(service("late"))); rev <= usurper.Header.Revision {
		t.Fatalf("revision %d", rev)
	}
	if _, err := first.Commit(t.Context(), store.CreateOp(service("later"))); !errors.Is(err, store.ErrFenced) {
		t.Fatalf("a deposed leader's commit after the next one came: %v", err)
	}

	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("lead ended with %v", err)
	}
	commit(t, q.Store(), store.CreateOp(service("plain")))
}

// Being the leader writes nothing, also when raft votes for the same member again.
func TestLeadWritesOnce(t *testing.T) {
	q := start(t, Config{})
	_, before, err := q.Store().List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	terms, _, _ := reigns(t, q)
	s := <-terms
	changed := q.server.LeaderChangedNotify()
	select {
	case <-changed:
		t.Fatal("the leader changed by itself")
	default:
	}
	if rev := commit(t, s, store.CreateOp(service("web"))); rev != before+2 {
		t.Fatalf("revision %d after a claim and a commit, was %d", rev, before)
	}
}

func TestLeadEndsWithItsFunction(t *testing.T) {
	q := start(t, Config{})
	want := errors.New("enough")
	err := q.Lead(t.Context(), func(context.Context, store.Store) error { return want })
	if err != want {
		t.Fatalf("got %v", err)
	}
	err = q.Lead(t.Context(), func(context.Context, store.Store) error { return nil })
	if err != nil {
		t.Fatalf("got %v", err)
	}
}

// A new process leads at once: there is no lease of the old one to wait for.
func TestLeadAfterRestart(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		q, err := open(t, Config{DataDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		terms, _, ended := reigns(t, q)
		<-terms
		q.Close()
		if err := <-ended; !errors.Is(err, ErrClosed) && !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("lead ended with %v", err)
		}
	}
}
