package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
	"warren.io/warren/runtime/store/memstore"
)

// soon is how long a test waits for what should happen at once.
const soon = 20 * time.Second

// fixture is a server on a unix socket that ends with the test.
type fixture struct {
	*Server
	store  *memstore.Store
	socket string
}

func serve(t testing.TB, change func(*Config)) *fixture {
	t.Helper()
	f := &fixture{store: memstore.New()}
	c := Config{Store: f.store, Kinds: v1.Kinds, Log: logr.Discard()}
	if change != nil {
		change(&c)
	}
	dir := t.TempDir()
	f.socket = filepath.Join(dir, SocketName)
	l, err := ListenUnix(dir)
	if err != nil {
		t.Fatal(err)
	}
	f.Server = New(c)
	f.serveOn(t, l)
	return f
}

func (f *fixture) serveOn(t testing.TB, l net.Listener) {
	done := make(chan error, 1)
	go func() { done <- f.Serve(l) }()
	t.Cleanup(func() {
		f.shutdown(t)
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Errorf("Serve returned %v", err)
		}
	})
}

func (f *fixture) shutdown(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	if err := f.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func (f *fixture) dial(t testing.TB) *grpcstore.Store {
	t.Helper()
	s, err := grpcstore.Dial("unix://"+f.socket, grpcstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// raw is a plain gRPC connection, for what grpcstore would never send.
func (f *fixture) raw(t testing.TB) *grpc.ClientConn {
	t.Helper()
	c, err := grpc.NewClient("unix://"+f.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func aService(name string) *v1.Service {
	s := meta.New[v1.Service](name)
	s.Spec.Image = "hello:1"
	s.Spec.Default()
	return s
}

func aTask(name, text string) *v1.Task {
	x := meta.New[v1.Task](name)
	x.Status.Message = text
	return x
}

func commit(t testing.TB, s store.Store, ops ...store.Op) store.Revision {
	t.Helper()
	rev, err := s.Commit(t.Context(), ops...)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func put(o meta.Object) store.Op {
	return store.Op{Verb: store.Put, Key: o.Key(), Object: o, Guard: store.Any}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(soon); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// leaks demands at the end of the test that no goroutine is left of what the test started.
func leaks(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		var left []byte
		for end := time.Now().Add(soon); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if runtime.NumGoroutine() <= before {
				return
			}
			left = make([]byte, 1<<20)
			left = left[:runtime.Stack(left, true)]
		}
		t.Errorf("goroutines are left:\n%s", left)
	})
}

// fakeLogs has one task "web-1" with the lines 1 to 20; with Follow it goes on until it is cancelled.
type fakeLogs struct{}

func (fakeLogs) Read(ctx context.Context, task string, o host.LogOptions, emit func(host.LogLine) error) error {
	if task != "web-1" {
		return fmt.Errorf("logs of %s: %w", task, host.ErrNotFound)
	}
	from := 1
	if o.Tail >= 0 {
		from = max(21-o.Tail, 1)
	}
	for i := from; i <= 20; i++ {
		line := host.LogLine{Time: time.Unix(int64(i), 5).UTC(), Stream: "stderr", Text: fmt.Sprintf("line %d \xff", i)}
		if line.Time.Before(o.Since) {
			continue
		}
		if err := emit(line); err != nil {
			return err
		}
	}
	if o.Follow {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

// fakeImages keeps the size of what was imported.
type fakeImages struct {
	size   int64
	pinned bool
}

func (f *fakeImages) Import(_ context.Context, r io.Reader, o host.ImportOptions) ([]host.Image, error) {
	n, err := io.Copy(io.Discard, r)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	f.size, f.pinned = n, o.Pin
	return f.List(context.Background())
}

func (f *fakeImages) List(context.Context) ([]host.Image, error) {
	return []host.Image{{Name: "hello:1", Digest: "sha256:" + strings.Repeat("a", 64), Size: f.size,
		Platforms: []string{"linux/amd64"}, Created: time.Unix(1, 2).UTC(), Pinned: f.pinned, Status: "Incomplete"}}, nil
}

func (f *fakeImages) Pin(_ context.Context, ref string, pinned bool) error {
	if ref != "hello:1" {
		return fmt.Errorf("pin image %s: %w", ref, host.ErrNotFound)
	}
	f.pinned = pinned
	return nil
}

func (f *fakeImages) Remove(_ context.Context, ref string) error {
	if ref != "hello:1" {
		return fmt.Errorf("remove image %s: %w", ref, host.ErrNotFound)
	}
	return nil
}
