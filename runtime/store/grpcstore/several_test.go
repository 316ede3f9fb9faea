package grpcstore_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
	"warren.io/warren/runtime/store/memstore"
)

// any is a store behind several servers.
func anyOf(t *testing.T, targets ...string) *grpcstore.Store {
	t.Helper()
	s, err := grpcstore.DialAny(targets, grpcstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// deaf takes connections and never says anything.
func deaf(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// TestMovesOn: one refuses, one is a black hole; the third serves until it is stopped, and then the fourth.
func TestMovesOn(t *testing.T) {
	mem := memstore.New(meta.New[v1.Service]("old"))
	a, b := t.TempDir(), t.TempDir()
	stop := serveAt(t, a, mem)
	defer serveAt(t, b, mem)()
	s := anyOf(t, "127.0.0.1:1", deaf(t), "unix://"+a+"/warren.sock", "unix://"+b+"/warren.sock")
	works := func(name string) {
		t.Helper()
		if _, err := s.Get(t.Context(), meta.Key{Kind: "Service", Name: "old"}); err != nil {
			t.Fatal(err)
		}
		if all, _, err := s.List(t.Context()); err != nil || len(all) == 0 {
			t.Fatal(all, err)
		}
		if _, err := s.Commit(t.Context(), store.CreateOp(meta.New[v1.Service](name))); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	works("one")
	t.Logf("past one that refuses and one that is silent in %s", time.Since(began).Round(time.Millisecond))
	_, rev, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	watch := s.Watch(ctx, rev)
	works("two")
	sees(t, watch, "two")
	stop()
	works("three")
	sees(t, watch, "three")
}

// sees waits for a service in a watch, and demands that nothing comes before it.
func sees(t *testing.T, watch <-chan store.Batch, name string) {
	t.Helper()
	for end := time.After(20 * time.Second); ; {
		select {
		case b := <-watch:
			if b.Err != nil || len(b.Changes) != 1 || b.Changes[0].Key.Name != name {
				t.Fatalf("a watch that waits for %s sees %+v", name, b)
			}
			return
		case <-end:
			t.Fatalf("%s does not come", name)
		}
	}
}

// TestUnavailableMovesOn: one that says that it cannot serve is left, also by writes, which are then done once.
func TestUnavailableMovesOn(t *testing.T) {
	mem := memstore.New(meta.New[v1.Service]("old"))
	a, b := t.TempDir(), t.TempDir()
	defer serveAt(t, a, store.NewLate("no quorum"))()
	defer serveAt(t, b, mem)()
	_, before, _ := mem.List(t.Context())
	for what, call := range map[string]func(*grpcstore.Store) error{
		"get": func(s *grpcstore.Store) error {
			_, err := s.Get(t.Context(), meta.Key{Kind: "Service", Name: "old"})
			return err
		},
		"list": func(s *grpcstore.Store) error { _, _, err := s.List(t.Context()); return err },
		"commit": func(s *grpcstore.Store) error {
			_, err := s.Commit(t.Context(), store.CreateOp(meta.New[v1.Service]("new")))
			return err
		},
		"watch": func(s *grpcstore.Store) error {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() { _, _ = mem.Commit(ctx, store.CreateOp(meta.New[v1.Service]("later"))) }()
			return (<-s.Watch(ctx, before)).Err
		},
	} {
		if err := call(anyOf(t, "unix://"+a+"/warren.sock", "unix://"+b+"/warren.sock")); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	s := anyOf(t, "unix://"+a+"/warren.sock", "unix://"+a+"/warren.sock")
	if _, err := s.Get(t.Context(), meta.Key{Kind: "Service", Name: "old"}); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "no quorum") {
		t.Errorf("none can serve: %v", err)
	}
}

// doubtful is a store whose commits are done, or not: nobody knows.
type doubtful struct {
	store.Store
	asked *atomic.Int32
	then  func()
	err   error
}

func (d doubtful) Commit(context.Context, ...store.Op) (store.Revision, error) {
	d.asked.Add(1)
	if d.then != nil {
		d.then()
	}
	return 0, d.err
}

// TestWritesAreNotRepeated: what may have been done is not done again elsewhere.
func TestWritesAreNotRepeated(t *testing.T) {
	for what, err := range map[string]error{"unknown": errors.Join(store.ErrUnknown, store.ErrUnavailable), "lost": nil} {
		asked := &atomic.Int32{}
		d := doubtful{Store: memstore.New(), asked: asked, err: err}
		a, b := t.TempDir(), t.TempDir()
		var s *grpcstore.Store
		if what == "lost" {
			d.then = func() { _ = s.Close() }
		}
		stopA, stopB := serveAt(t, a, d), serveAt(t, b, d)
		s = anyOf(t, "unix://"+a+"/warren.sock", "unix://"+b+"/warren.sock")
		_, got := s.Commit(t.Context(), store.CreateOp(meta.New[v1.Service]("x")))
		if !errors.Is(got, store.ErrUnknown) || asked.Load() != 1 {
			t.Errorf("%s: asked %d times, %v", what, asked.Load(), got)
		}
		stopA()
		stopB()
	}
}

// TestNobody: each is named, with its reason.
func TestNobody(t *testing.T) {
	s := anyOf(t, "127.0.0.1:1", "unix:///nowhere/warren.sock")
	_, e1 := s.Get(t.Context(), meta.Key{Kind: "Service", Name: "x"})
	_, e2 := s.Commit(t.Context(), store.CreateOp(meta.New[v1.Service]("x")))
	_, _, e3 := s.List(t.Context())
	e4 := (<-s.Watch(t.Context(), 1)).Err
	for i, err := range []error{e1, e2, e3, e4} {
		if !errors.Is(err, grpcstore.ErrUnavailable) || errors.Is(err, store.ErrUnknown) ||
			err.Error() != "cannot reach warren at 127.0.0.1:1: is it running? nobody listens there\ncannot reach warren at unix:///nowhere/warren.sock: is it running? there is no such socket" {
			t.Errorf("call %d: %v", i, err)
		}
	}
}
