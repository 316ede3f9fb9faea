package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/server/api"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
	"warren.io/warren/runtime/store/memstore"
)

func TestReflectionNamesTheService(t *testing.T) {
	f := serve(t, nil)
	s, err := reflectionpb.NewServerReflectionClient(f.raw(t)).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}
	if err := s.Send(ask); err != nil {
		t.Fatal(err)
	}
	answer, err := s.Recv()
	if err != nil || !strings.Contains(answer.String(), `"warren.v1.Warren"`) {
		t.Fatalf("%v %v", answer, err)
	}
	_ = s.CloseSend()
}

func TestHealth(t *testing.T) {
	ok := true
	f := serve(t, func(c *Config) { c.Health = func(context.Context) []Check { return []Check{{Name: "x", OK: ok}} } })
	h := healthpb.NewHealthClient(f.raw(t))
	for _, x := range []struct {
		service string
		ok      bool
		want    healthpb.HealthCheckResponse_ServingStatus
	}{{"", false, 1}, {"warren.v1.Warren", true, 1}, {"warren.v1.Warren", false, 2}} {
		ok = x.ok
		r, err := h.Check(t.Context(), &healthpb.HealthCheckRequest{Service: x.service})
		if err != nil || r.GetStatus() != x.want {
			t.Errorf("%q: %v %v", x.service, r, err)
		}
	}
	if _, err := h.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "none"}); status.Code(err) != codes.NotFound {
		t.Errorf("unknown service: %v", err)
	}
}

func TestNodeCalls(t *testing.T) {
	var stopped []bool
	images := &fakeImages{}
	f := serve(t, func(c *Config) {
		c.Logs, c.Images = fakeLogs{}, images
		c.Info = func(context.Context) (Info, error) {
			return Info{Version: "1.2", Node: "n1", ClusterID: "c", Revision: 7, Leader: true}, nil
		}
		c.Health = func(context.Context) []Check { return []Check{{Name: "disk", Message: "is full"}} }
		c.Graph = func() []string { return []string{"a -> b", "c -> d"} }
		c.Stop = func(_ context.Context, tasks bool) error { stopped = append(stopped, tasks); return nil }
	})
	s, ctx := f.dial(t), t.Context()
	info, err := s.Info(ctx)
	if err != nil || fmt.Sprint(info) != "{1.2 n1 c 7 true [{disk false is full}]}" {
		t.Errorf("info: %v %v", info, err)
	}
	if g, err := s.Graph(ctx); err != nil || fmt.Sprint(g) != "[a -> b c -> d]" {
		t.Errorf("graph: %v %v", g, err)
	}
	if err := errors.Join(s.Stop(ctx, false), s.Stop(ctx, true)); err != nil || fmt.Sprint(stopped) != "[false true]" {
		t.Errorf("stop: %v %v", stopped, err)
	}
	archive := bytes.Repeat([]byte("0123456789"), 1<<20)
	got, err := s.ImportImage(ctx, bytes.NewReader(archive), host.ImportOptions{Pin: true})
	want, _ := images.List(ctx)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) || images.size != int64(len(archive)) || !images.pinned {
		t.Errorf("import: %v %v", got, err)
	}
	if got, err := s.ListImages(ctx); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("images: %v %v", got, err)
	}
	if err := s.PinImage(ctx, "hello:1", false); err != nil || images.pinned {
		t.Errorf("unpin: %v", err)
	}
	if err := s.PinImage(ctx, "no:1", true); !errors.Is(err, host.ErrNotFound) {
		t.Error(err)
	}
	if _, err := s.ImportImage(ctx, bytes.NewReader(nil), host.ImportOptions{Pin: true}); err != nil || images.size != 0 {
		t.Errorf("nothing: %v, %d bytes", err, images.size)
	}
	if err := s.RemoveImage(ctx, "hello:1"); err != nil {
		t.Error(err)
	}
	if err := s.RemoveImage(ctx, "no:1"); !errors.Is(err, host.ErrNotFound) || err.Error() != "remove image no:1: not found on this host" {
		t.Error(err)
	}
}

func TestImportOfABrokenArchive(t *testing.T) {
	f := serve(t, func(c *Config) { c.Images = &fakeImages{} })
	broken := io.MultiReader(strings.NewReader("abc"), iotestErr{})
	if _, err := f.dial(t).ImportImage(t.Context(), broken, host.ImportOptions{}); err == nil || err.Error() != "read the archive: the disk is gone" {
		t.Fatal(err)
	}
}

type iotestErr struct{}

func (iotestErr) Read([]byte) (int, error) { return 0, errors.New("the disk is gone") }

func TestLogs(t *testing.T) {
	f := serve(t, func(c *Config) { c.Logs = fakeLogs{} })
	s := f.dial(t)
	read := func(ctx context.Context, task string, o host.LogOptions, stop int) (n int, err error) {
		err = s.Logs(ctx, task, o, func(l host.LogLine) error {
			if n++; n == 1 && (l.Time.Nanosecond() != 5 || l.Stream != "stderr" || !strings.HasSuffix(l.Text, "\xff")) {
				t.Errorf("line %+v", l)
			}
			if n == stop {
				return io.ErrClosedPipe
			}
			return nil
		})
		return n, err
	}
	if n, err := read(t.Context(), "web-1", host.LogOptions{Tail: -1}, 0); n != 20 || err != nil {
		t.Errorf("all: %d %v", n, err)
	}
	if n, err := read(t.Context(), "web-1", host.LogOptions{Tail: 3}, 0); n != 3 || err != nil {
		t.Errorf("tail: %d %v", n, err)
	}
	if n, err := read(t.Context(), "web-1", host.LogOptions{Tail: -1, Since: time.Unix(11, 0)}, 0); n != 10 || err != nil {
		t.Errorf("since: %d %v", n, err)
	}
	if n, err := read(t.Context(), "web-1", host.LogOptions{Tail: 5, Follow: true}, 5); n != 5 || err != io.ErrClosedPipe {
		t.Errorf("follow until the reader ends: %d %v", n, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if n, err := read(ctx, "web-1", host.LogOptions{Tail: 5, Follow: true}, 0); n != 5 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("follow until the context ends: %d %v", n, err)
	}
	if _, err := read(t.Context(), "none", host.LogOptions{}, 0); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("no task: %v", err)
	}
}

func TestNotServed(t *testing.T) {
	s, ctx := serve(t, nil).dial(t), t.Context()
	_, e1 := s.Info(ctx)
	_, e2 := s.Graph(ctx)
	_, e3 := s.ListImages(ctx)
	_, e4 := s.ImportImage(ctx, strings.NewReader("x"), host.ImportOptions{})
	e5 := s.Logs(ctx, "x", host.LogOptions{}, nil)
	for i, err := range []error{e1, e2, e3, e4, e5, s.Stop(ctx, true), s.RemoveImage(ctx, "x"), s.PinImage(ctx, "x", true)} {
		if !errors.Is(err, grpcstore.ErrNotServed) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func TestAdmissionErrorsArriveWhole(t *testing.T) {
	f := serve(t, func(c *Config) { c.Store = store.Admit(c.Store, v1.Kinds, time.Now) })
	one, two := aService("one"), aService("two")
	one.Spec.Image, one.Spec.Mode = "", "Some"
	two.Spec.Image = "UPPER CASE"
	_, err := f.dial(t).Commit(t.Context(), store.CreateOp(one), store.CreateOp(two), store.CreateOp(aTask("t", "")))
	list := grpcstore.InvalidErrors(err)
	if len(list) != 2 || len(list[0].List) != 2 || list[1].Key != two.Key() || !errors.Is(err, store.ErrForbidden) {
		t.Fatalf("%v", err)
	}
}

// panicking panics in Get and says nothing in Commit until it may.
type panicking struct {
	*memstore.Store
	commit chan struct{}
}

func (p panicking) Get(context.Context, meta.Key) (meta.Object, error) { panic("a bug") }
func (p panicking) List(context.Context) ([]meta.Object, store.Revision, error) {
	panic("another bug")
}
func (p panicking) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	close(p.commit)
	<-ctx.Done()
	return 0, ctx.Err()
}

func TestPanicIsContained(t *testing.T) {
	var log strings.Builder
	f := serve(t, func(c *Config) {
		c.Store = panicking{Store: memstore.New()}
		c.Log = funcr.New(func(_, args string) { log.WriteString(args + "\n") }, funcr.Options{})
	})
	s := f.dial(t)
	if _, err := s.Get(t.Context(), meta.Key{Kind: "Service", Name: "x"}); err == nil || !strings.Contains(err.Error(), "its log says more") {
		t.Errorf("get: %v", err)
	}
	if _, _, err := s.List(t.Context()); err == nil || !strings.Contains(err.Error(), "its log says more") {
		t.Errorf("list: %v", err)
	}
	if code, body := f.get(t, "/v1/services/x"); code != 500 || !strings.Contains(body, "its log says more") {
		t.Errorf("http: %d %s", code, body)
	}
	if n := strings.Count(log.String(), `"a request failed"`); n != 3 || !strings.Contains(log.String(), "another bug") {
		t.Errorf("logged %d times: %s", n, log.String())
	}
}

// TestCommitWithoutAnswerIsUnknown: when the server dies in the middle of a commit, nobody may take it for refused.
func TestCommitWithoutAnswerIsUnknown(t *testing.T) {
	p := panicking{Store: memstore.New(), commit: make(chan struct{})}
	f := serve(t, func(c *Config) { c.Store = p })
	s := f.dial(t)
	go func() { <-p.commit; f.grpc.Stop() }()
	_, err := s.Commit(t.Context(), put(aService("web")))
	if !errors.Is(err, store.ErrUnknown) || !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("cut off: %v", err)
	}
	p.commit = make(chan struct{})
	f = serve(t, func(c *Config) { c.Store = p })
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-p.commit; cancel() }()
	if _, err := f.dial(t).Commit(ctx, put(aService("web"))); !errors.Is(err, store.ErrUnknown) || !errors.Is(err, context.Canceled) {
		t.Fatalf("given up: %v", err)
	}
}

func TestShutdownEndsEverything(t *testing.T) {
	leaks(t)
	f := serve(t, func(c *Config) { c.Logs = fakeLogs{} })
	s := f.dial(t)
	w := s.Watch(t.Context(), 1)
	upTo(t, w, commit(t, s, put(aService("web"))))
	web := f.lines(t, "/v1/services?watch=1")
	web()
	mute, err := net.Dial("unix", f.socket) // says nothing at all
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	logs, following := make(chan error, 1), make(chan struct{})
	go func() {
		logs <- s.Logs(t.Context(), "web-1", host.LogOptions{Tail: 1, Follow: true}, func(host.LogLine) error { close(following); return nil })
	}()
	<-following
	eventually(t, "the mute connection is known", func() bool {
		f.split.mu.Lock()
		defer f.split.mu.Unlock()
		return len(f.split.waiting) == 1
	})
	begin := time.Now()
	f.shutdown(t)
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
	for _, err := range []error{(<-w).Err, <-logs} {
		if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "warren is stopping") {
			t.Errorf("ended with %v", err)
		}
	}
	if l := web(); l != `{"error":"warren is stopping: store is unavailable"}` {
		t.Error(l)
	}
	if _, err := s.Get(t.Context(), meta.Key{Kind: "Service", Name: "web"}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("after it: %v", err)
	}
	if err := f.Serve(&net.UnixListener{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Serve after it: %v", err)
	}
}

// TestShutdownWaitsForCallsOnlySoLong: a call that hangs is cut when the context ends.
func TestShutdownWaitsForCallsOnlySoLong(t *testing.T) {
	p := panicking{Store: memstore.New(), commit: make(chan struct{})}
	f := serve(t, func(c *Config) { c.Store = p })
	s, done := f.dial(t), make(chan error, 1)
	go func() {
		_, err := s.Commit(t.Context(), put(aService("web")))
		done <- err
	}()
	<-p.commit
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := f.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-done; !errors.Is(err, store.ErrUnknown) {
		t.Errorf("the call: %v", err)
	}
}

func TestGarbageHarmsNobody(t *testing.T) {
	f := serve(t, nil)
	s := f.dial(t)
	garbage := [][]byte{bytes.Repeat([]byte{0}, 1<<20), bytes.Repeat([]byte("PRI "), 1<<18), []byte("GET"), {},
		[]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\xff", 1<<16))}
	for _, g := range garbage {
		c, err := net.Dial("unix", f.socket)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(soon))
		_, _ = c.Write(g)
		_ = c.(*net.UnixConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
		if _, _, err := s.List(t.Context()); err != nil {
			t.Fatalf("after %d bytes: %v", len(g), err)
		}
	}
}

func FuzzCommitRequest(f *testing.F) {
	good, err := meta.Encode(aService("web"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encodeOp(&api.Op{Key: api.ToKey(aService("web").Key()), Json: good}))
	f.Add(encodeOp(&api.Op{Key: &api.Key{Kind: "Service", Name: "x"}, Json: []byte(`{"kind":"Service","spec":{"env":[1]}}`)}))
	f.Add(encodeOp(&api.Op{Verb: 7, Guard: -9}))
	s := service{Server: New(Config{Store: store.Admit(memstore.New(), v1.Kinds, time.Now), Kinds: v1.Kinds})}
	f.Fuzz(func(t *testing.T, data []byte) {
		out, err := callCommit(s, data)
		if err == nil && out == nil {
			t.Fatal("no answer and no error")
		}
		if err != nil {
			if back, ours := api.FromStatus(wire(err)); !ours || back.Error() == "" {
				t.Fatalf("%v does not travel", err)
			}
		}
	})
}

func encodeOp(op *api.Op) []byte {
	data, err := proto.Marshal(&api.CommitRequest{Ops: []*api.Op{op, nil}})
	if err != nil {
		panic(err)
	}
	return data
}

// callCommit does what gRPC does with the bytes of a request, but for containing a panic.
func callCommit(s service, data []byte) (*api.CommitResponse, error) {
	r := &api.CommitRequest{}
	if err := proto.Unmarshal(data, r); err != nil {
		return nil, api.Invalid("%v", err)
	}
	return s.Commit(context.Background(), r)
}
