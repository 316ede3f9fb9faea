package grpcstore_test

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/grpc/test/bufconn"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/server"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
	"warren.io/warren/runtime/store/memstore"
	"warren.io/warren/runtime/store/storetest"
)

// node is a server over a memstore that ends with the test.
func node(t testing.TB, c server.Config, l net.Listener) *server.Server {
	t.Helper()
	if c.Store == nil {
		c.Store = memstore.New()
	}
	c.Kinds, c.Log = v1.Kinds, logr.Discard()
	s := server.New(c)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
		<-done
	})
	return s
}

// onUnix serves on a socket in a directory of the test's own.
func onUnix(t testing.TB, c server.Config) *grpcstore.Store {
	t.Helper()
	dir := t.TempDir()
	l, err := server.ListenUnix(dir)
	if err != nil {
		t.Fatal(err)
	}
	node(t, c, l)
	return dial(t, "unix://"+filepath.Join(dir, server.SocketName), grpcstore.Options{})
}

func dial(t testing.TB, target string, o grpcstore.Options) *grpcstore.Store {
	t.Helper()
	s, err := grpcstore.Dial(target, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// withCompact lets the suite forget the history of the store behind the server.
type withCompact struct {
	*grpcstore.Store
	inner *memstore.Store
}

func (w withCompact) Compact() { w.inner.Compact() }

func TestConformanceUnix(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		inner := memstore.New()
		return withCompact{onUnix(t, server.Config{Store: inner}), inner}
	})
}

func TestConformanceInMemory(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		inner := memstore.New()
		l := bufconn.Listen(64 << 10)
		node(t, server.Config{Store: inner}, l)
		return withCompact{dial(t, "localhost:1", grpcstore.Options{Dial: l.DialContext}), inner}
	})
}
