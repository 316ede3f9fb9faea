package grpcstore_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/server"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
	"warren.io/warren/runtime/store/memstore"
)

func TestUnreachableSaysWhy(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	denied := func(context.Context) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EACCES)}
	}
	tests := []struct {
		target string
		o      grpcstore.Options
		want   string
		is     error
	}{
		{"unix://" + dir + "/none.sock", grpcstore.Options{}, "is it running? there is no such socket", fs.ErrNotExist},
		{"unix://" + stale, grpcstore.Options{}, "is it running? nobody listens there", syscall.ECONNREFUSED},
		{"unix:///denied", grpcstore.Options{Dial: denied}, "permission denied; run this as root or as a member of the group warren", fs.ErrPermission},
		{"127.0.0.1:1", grpcstore.Options{}, "is it running? nobody listens there", syscall.ECONNREFUSED},
	}
	for _, x := range tests {
		s := dial(t, x.target, x.o)
		_, e1 := s.Get(t.Context(), meta.Key{Kind: "Service", Name: "x"})
		_, _, e2 := s.List(t.Context())
		_, e3 := s.Commit(t.Context(), store.CreateOp(meta.New[v1.Service]("x")))
		e4 := (<-s.Watch(t.Context(), 1)).Err
		_, e5 := s.ImportImage(t.Context(), strings.NewReader("x"), host.ImportOptions{})
		for i, err := range []error{e1, e2, e3, e4, e5} {
			if !errors.Is(err, grpcstore.ErrUnavailable) || !errors.Is(err, x.is) || errors.Is(err, store.ErrUnknown) {
				t.Errorf("%s: call %d: wrong class: %v", x.target, i, err)
			}
			if want := fmt.Sprintf("cannot reach warren at %s: %s", x.target, x.want); err.Error() != want {
				t.Errorf("call %d: %q, want %q", i, err, want)
			}
		}
	}
}

func TestBadTargets(t *testing.T) {
	for target, want := range map[string]string{
		"": "write unix:///PATH or HOST:PORT", "localhost": "write unix:///PATH or HOST:PORT", ":7070": "write unix:///PATH or HOST:PORT",
		"unix://run/x": "a socket is written unix:///PATH", "10.0.0.1:7070": "needs a certificate", "example.org:1": "needs a certificate",
	} {
		if _, err := grpcstore.Dial(target, grpcstore.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", target, err)
		}
	}
}

// serveAt is a server that the test can stop by itself.
func serveAt(t *testing.T, dir string, inner store.Store) (stop func()) {
	t.Helper()
	l, err := server.ListenUnix(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := node(t, server.Config{Store: inner}, l)
	return func() {
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestOneConnectionOutlivesTheServer(t *testing.T) {
	dir, inner := t.TempDir(), memstore.New(meta.New[v1.Service]("web"))
	stop := serveAt(t, dir, inner)
	s := dial(t, "unix://"+filepath.Join(dir, server.SocketName), grpcstore.Options{})
	w := s.Watch(t.Context(), 1)
	if b := <-w; b.Revision != 2 || b.Err != nil {
		t.Fatalf("%+v", b)
	}
	stop()
	if b := <-w; !errors.Is(b.Err, store.ErrUnavailable) {
		t.Fatalf("%+v", b)
	}
	if _, open := <-w; open {
		t.Fatal("the watch goes on after its error")
	}
	if _, _, err := s.List(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("without a server: %v", err)
	}
	serveAt(t, dir, inner)
	begin := time.Now()
	for {
		if _, err := s.Get(t.Context(), meta.Key{Kind: "Service", Name: "web"}); err == nil {
			break
		} else if time.Since(begin) > 20*time.Second {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if d := time.Since(begin); d > 3*time.Second {
		t.Errorf("it took %v to find the server again", d)
	}
}

func TestEndedContextIsNoBrokenLink(t *testing.T) {
	s := onUnix(t, server.Config{})
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Nanosecond, errors.New("that was all"))
	defer cancel()
	<-ctx.Done()
	_, e1 := s.Get(ctx, meta.Key{Kind: "Service", Name: "x"})
	_, _, e2 := s.List(ctx)
	for _, err := range []error{e1, e2} {
		if err == nil || err.Error() != "that was all" {
			t.Errorf("got %v", err)
		}
	}
	if b, open := <-s.Watch(ctx, 1); open {
		t.Errorf("a watch of an ended context said %+v", b)
	}
}

func TestClosedConnection(t *testing.T) {
	s := onUnix(t, server.Config{})
	w := s.Watch(t.Context(), 1)
	if _, _, err := s.List(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	if b := <-w; !errors.Is(b.Err, grpcstore.ErrUnavailable) {
		t.Errorf("watch: %v", b.Err)
	}
	if _, _, err := s.List(t.Context()); !errors.Is(err, grpcstore.ErrUnavailable) {
		t.Errorf("list: %v", err)
	}
}

// TestKindsOfANewerServerAreNotSeen: an older program sees what it knows.
func TestKindsOfANewerServerAreNotSeen(t *testing.T) {
	dir := t.TempDir()
	serveAt(t, dir, memstore.New(meta.New[v1.Service]("web"), meta.New[v1.Task]("web")))
	s := dial(t, "unix://"+filepath.Join(dir, server.SocketName), grpcstore.Options{Kinds: meta.Kinds{v1.ServiceKind}})
	all, _, err := s.List(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	if b := <-s.Watch(t.Context(), 1); b.Err != nil || len(b.Changes) != 1 || b.Revision != 2 {
		t.Fatalf("%+v", b)
	}
	if _, err := s.Get(t.Context(), meta.Key{Kind: "Task", Name: "web"}); err == nil || !strings.Contains(err.Error(), "does not know the kind") {
		t.Fatal(err)
	}
	if _, err := s.Only("Task").Get(t.Context(), meta.Key{Kind: "Service", Name: "web"}); !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
}
