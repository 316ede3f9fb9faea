package warrenctl

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/server"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
)

// soon is how long a test waits for what should happen at once.
const soon = 20 * time.Second

// text is what a running warrenctl has printed so far.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.Write(p)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.String()
}

// live is a node that can go away and come back, and a warrenctl that goes on meanwhile.
type live struct {
	t        *testing.T
	dir      string
	mem      *memstore.Store
	logs     host.Logs
	server   *server.Server
	out, err text
	stop     context.CancelFunc
	code     chan int
}

func newLive(t *testing.T, logs host.Logs) *live {
	t.Helper()
	dir, err := os.MkdirTemp("", "warrenctl")
	if err != nil {
		t.Fatal(err)
	}
	n := &live{t: t, dir: dir, mem: memstore.New(), logs: logs, code: make(chan int, 1)}
	n.up()
	t.Cleanup(func() {
		if n.stop != nil {
			n.stop()
			n.exit()
		}
		n.down()
		_ = os.RemoveAll(dir)
	})
	return n
}

func (n *live) up() {
	n.t.Helper()
	l, err := server.ListenUnix(n.dir)
	if err != nil {
		n.t.Fatal(err)
	}
	n.server = server.New(server.Config{Store: store.Admit(n.mem, v1.Kinds, time.Now), Kinds: v1.Kinds, Log: logr.Discard(), Logs: n.logs, Why: reasonsIn(n.mem)})
	go func(s *server.Server) { _ = s.Serve(l) }(n.server)
}

func (n *live) down() {
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	if err := n.server.Shutdown(ctx); err != nil {
		n.t.Errorf("shut down: %v", err)
	}
}

// run starts warrenctl beside the test.
func (n *live) run(terminal bool, args ...string) {
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	p := &program{in: strings.NewReader(""), out: &n.out, err: &n.err, now: func() time.Time { return noon }, getenv: os.Getenv, live: terminal}
	args = append([]string{"--server", "unix://" + filepath.Join(n.dir, server.SocketName)}, args...)
	go func() { n.code <- p.main(ctx, args) }()
}

// exit waits for the end of warrenctl.
func (n *live) exit() int {
	n.t.Helper()
	n.stop = nil
	select {
	case code := <-n.code:
		return code
	case <-time.After(soon):
		n.t.Fatalf("does not end; printed %q and %q", &n.out, &n.err)
		return -1
	}
}

// prints waits until warrenctl has printed a text.
func (n *live) prints(to *text, want string) {
	n.t.Helper()
	for end := time.Now().Add(soon); !strings.Contains(to.String(), want); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			n.t.Fatalf("%q is not printed, but %q and %q", want, &n.out, &n.err)
		}
	}
}

// appears waits until a file is there.
func (n *live) appears(file string) {
	n.t.Helper()
	for end := time.Now().Add(soon); ; time.Sleep(2 * time.Millisecond) {
		if _, err := os.Stat(file); err == nil {
			return
		}
		if time.Now().After(end) {
			n.t.Fatalf("%s does not appear; printed %q and %q", file, &n.out, &n.err)
		}
	}
}

func (n *live) put(objects ...meta.Object) {
	n.t.Helper()
	for _, o := range objects {
		if _, err := n.mem.Commit(n.t.Context(), store.Op{Verb: store.Put, Key: o.Key(), Object: o, Guard: store.Any}); err != nil {
			n.t.Fatal(err)
		}
	}
}

func (n *live) remove(kind, name string) {
	n.t.Helper()
	if _, err := n.mem.Commit(n.t.Context(), store.Op{Verb: store.Delete, Key: meta.Key{Kind: kind, Name: name}, Guard: store.Any}); err != nil {
		n.t.Fatal(err)
	}
}

func svc(name string, generation, observed int64, desired, ready int) *v1.Service {
	s := meta.New[v1.Service](name)
	s.Spec.Image = "a:1"
	s.SetDefaults()
	*s.Spec.Replicas = desired
	s.Metadata.Created, s.Metadata.Generation = noon, generation
	s.Status = v1.ServiceStatus{ObservedGeneration: observed, Desired: desired, Tasks: desired, Updated: desired, Ready: ready}
	return s
}

func task(name, service string, started bool) *v1.Task {
	x := meta.New[v1.Task](name)
	x.Spec.Service, x.Spec.Image = service, "a:1"
	x.Metadata.Created = noon
	x.Status.Phase = v1.TaskPreparing
	if started {
		x.Status.Phase, x.Status.Ready, x.Status.StartedAt = v1.TaskRunning, true, noon
	}
	return x
}

func TestWatchGoesOn(t *testing.T) {
	n := newLive(t, nil)
	n.put(svc("web", 1, 1, 2, 0), svc("old", 1, 1, 1, 1))
	n.run(false, "get", "services", "-w")
	n.prints(&n.out, "web         Replicated   0/2")
	n.put(svc("web", 1, 1, 2, 1))
	n.prints(&n.out, "web         Replicated   1/2")

	n.down()
	n.prints(&n.err, "waiting for it")
	n.put(svc("web", 1, 1, 2, 2)) // happens while nobody is connected
	n.remove("Service", "old")
	n.mem.Compact()
	n.up()
	n.prints(&n.out, "web         Replicated   2/2")
	n.prints(&n.out, "old         Deleted")
	n.put(svc("new", 1, 1, 1, 0))
	n.prints(&n.out, "new         Replicated   0/1")

	want := "NAME        MODE         READY       UPDATED     IMAGE       AGE\n" +
		"old         Replicated   1/1         1           a:1         0s\n" +
		"web         Replicated   0/2         2           a:1         0s\n" +
		"web         Replicated   1/2         2           a:1         0s\n" +
		"web         Replicated   2/2         2           a:1         0s\n" +
		"old         Deleted\n" +
		"new         Replicated   0/1         1           a:1         0s\n"
	if got := n.out.String(); got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
	n.stop()
	if code := n.exit(); code != codeInterrupted {
		t.Errorf("exit code %d after an interrupt", code)
	}
}

func TestApplyWaits(t *testing.T) {
	n := newLive(t, nil)
	t.Chdir(t.TempDir())
	if err := os.WriteFile("web.yaml", []byte("apiVersion: warren.io/v1\nkind: Service\nmetadata: {name: web}\nspec: {image: 'a:1', replicas: 2}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	n.run(false, "apply", "-f", "web.yaml", "--wait")
	n.prints(&n.err, "service/web: waiting for the cluster\n")
	n.put(svc("web", 1, 1, 2, 0))
	n.prints(&n.err, "service/web: 0 of 2 ready\n")
	n.put(task("web-1-1", "web", false), task("other-1-1", "other", false))
	n.prints(&n.err, "service/web: 0 of 2 ready, 1 Preparing\n")
	n.put(task("web-1-1", "web", true))
	n.down()
	n.prints(&n.err, "waiting for it")
	n.up()
	n.put(svc("web", 1, 1, 2, 2))
	if code := n.exit(); code != codeDone {
		t.Errorf("exit code %d: %s", code, &n.err)
	}
	if got := n.out.String(); got != "service/web created\n" {
		t.Errorf("printed %q", got)
	}
}

func TestApplyWaitsOnATerminal(t *testing.T) {
	n := newLive(t, nil)
	t.Chdir(t.TempDir())
	if err := os.WriteFile("web.yaml", []byte("apiVersion: warren.io/v1\nkind: Service\nmetadata: {name: web}\nspec: {image: 'a:1', replicas: 2}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	n.run(true, "apply", "-f", "web.yaml", "--wait")
	n.prints(&n.err, "waiting for the cluster")
	n.put(svc("web", 1, 1, 2, 1))
	n.prints(&n.err, "\x1b[1A\r\x1b[Kservice/web: 1 of 2 ready\n")
	n.remove("Service", "web")
	if code := n.exit(); code != codeNo || !strings.Contains(n.err.String(), "warrenctl: wait for service/web: it was deleted") {
		t.Errorf("exit code %d: %s", code, &n.err)
	}
}

func TestEventsWatch(t *testing.T) {
	n := newLive(t, nil)
	n.run(false, "events", "-w", "--for", "service/web")
	n.prints(&n.out, "MESSAGE")
	for i, about := range []string{"other", "web"} {
		e := meta.New[v1.Event](fmt.Sprintf("e%d", i))
		e.Spec = v1.EventSpec{About: meta.Key{Kind: "Service", Name: about}, Type: v1.EventNormal, Reason: "Told"}
		e.Status = v1.EventStatus{Count: 1, Last: noon, Message: "about " + about}
		n.put(e)
	}
	n.prints(&n.out, "about web")
	if strings.Contains(n.out.String(), "other") {
		t.Errorf("printed %s", &n.out)
	}
}

// growing is a log that goes on; each line is one that was sent to it.
type growing struct {
	lines chan string
	mu    sync.Mutex
	past  []host.LogLine
}

func (g *growing) Read(ctx context.Context, name string, o host.LogOptions, emit func(host.LogLine) error) error {
	g.mu.Lock()
	past := g.past
	g.mu.Unlock()
	for _, l := range past {
		if !l.Time.Before(o.Since) {
			if err := emit(l); err != nil {
				return err
			}
		}
	}
	for {
		select {
		case text, ok := <-g.lines:
			if !ok {
				return nil
			}
			g.mu.Lock()
			l := host.LogLine{Time: noon.Add(time.Duration(len(g.past)) * time.Second), Text: name + " " + text}
			g.past = append(g.past, l)
			g.mu.Unlock()
			if err := emit(l); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestLogsFollow(t *testing.T) {
	g := &growing{lines: make(chan string)}
	n := newLive(t, g)
	n.put(svc("web", 1, 1, 1, 0), task("web-1-1", "web", false))
	n.run(false, "logs", "-f", "service/web")
	n.put(task("web-1-1", "web", true)) // starts only now
	g.lines <- "one"
	n.prints(&n.out, "web-1-1 | web-1-1 one\n")
	n.down()
	n.up()
	g.lines <- "two"
	n.prints(&n.out, "web-1-1 | web-1-1 two\n")
	if got := strings.Count(n.out.String(), "one"); got != 1 {
		t.Errorf("a line was printed %d times: %s", got, &n.out)
	}
}

func TestLogsFollowEndsWithTheTask(t *testing.T) {
	g := &growing{lines: make(chan string)}
	n := newLive(t, g)
	n.put(task("web-1-1", "web", true))
	n.run(false, "logs", "-f", "web-1-1")
	g.lines <- "one"
	n.prints(&n.out, "web-1-1 one\n")
	close(g.lines)
	n.remove("Task", "web-1-1")
	if code := n.exit(); code != codeDone {
		t.Errorf("exit code %d: %s", code, &n.err)
	}
}
