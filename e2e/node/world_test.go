//go:build e2e

package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/e2e/hosts"
)

// patience is how long anything that must happen may take, on a machine that does much else.
const patience = 60 * time.Second

// world is one node of a test.
type world struct {
	t      *testing.T
	bench  *hosts.Bench
	host   *hosts.Host
	cmd    *exec.Cmd
	ended  chan error
	logs   string   // path of what the node logs
	env    []string // of the node, beside this process's
	inside *http.Client
	socket *http.Client
}

// newWorld makes a host; the node is not started.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, bench: hosts.New(t)}
	h, err := w.bench.Host("a")
	if err != nil {
		t.Fatal(err)
	}
	w.host, w.logs = h, filepath.Join(t.TempDir(), "node.log")
	w.inside = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: w.dialInside}}
	w.socket = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", w.socketPath())
		}}}
	t.Cleanup(w.lastLook)
	return w
}

// running makes a host with a node that is up and has the image hello.
func running(t *testing.T, flags ...string) *world {
	t.Helper()
	w := newWorld(t)
	w.start(flags...)
	w.ready()
	w.ctl("image", "import", helloTar)
	return w
}

func (w *world) socketPath() string { return filepath.Join(w.host.RunDir, "warren.sock") }

func (w *world) dialInside(ctx context.Context, network, address string) (c net.Conn, err error) {
	err = w.host.Do(func() error {
		c, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// lastLook shows what the node logged if the test failed, and fails it if the node crashed unseen.
func (w *world) lastLook() {
	data, _ := os.ReadFile(w.logs)
	for _, word := range []string{"panic: ", "DATA RACE", "goroutine 1 ["} {
		if i := bytes.Index(data, []byte(word)); i >= 0 {
			w.t.Errorf("%s in the node's log: %s", word, data[i:min(i+3000, len(data))])
		}
	}
	if !w.t.Failed() {
		return
	}
	lines := bytes.Split(data, []byte("\n"))
	w.t.Logf("the node's last words:\n%s", bytes.Join(lines[max(0, len(lines)-40):], []byte("\n")))
}

// start runs the node and does not wait.
func (w *world) start(flags ...string) {
	w.t.Helper()
	args := append([]string{"run", "--data-dir", w.host.DataDir, "--run-dir", w.host.RunDir, "--node-name", "n1"}, flags...)
	out, err := os.OpenFile(w.logs, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	defer out.Close()
	cmd := w.host.Command(context.Background(), warren, args...)
	cmd.Stdout, cmd.Stderr, cmd.Env = out, out, append(cmd.Env, w.env...)
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	w.cmd, w.ended = cmd, ended
}

// ready waits until the node says that it is.
func (w *world) ready() {
	w.t.Helper()
	w.await("the node is ready", func() bool { return w.readyz().code == http.StatusOK && len(w.list("nodes")) > 0 })
}

// terminate ends the node as systemd does and waits for it.
func (w *world) terminate() {
	w.t.Helper()
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		w.t.Fatal(err)
	}
	w.awaitEnd()
}

func (w *world) awaitEnd() {
	w.t.Helper()
	select {
	case err := <-w.ended:
		if err != nil {
			w.t.Errorf("warren run ended with %v", err)
		}
	case <-time.After(patience):
		w.t.Fatal("warren run does not end")
	}
}

// result is how a command ended.
type result struct {
	out, err string
	code     int
}

// run runs a program in the host.
func (w *world) run(stdin, program string, args ...string) result {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := w.host.Command(ctx, program, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("%s %q: %v", program, args, err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// try is warrenctl that may fail.
func (w *world) try(args ...string) result {
	w.t.Helper()
	return w.run("", warrenctl, args...)
}

// ctl is warrenctl that must not fail; it returns what was printed.
func (w *world) ctl(args ...string) string {
	w.t.Helper()
	r := w.try(args...)
	if r.code != 0 {
		w.t.Fatalf("warrenctl %q: exit %d\n%s%s", args, r.code, r.out, r.err)
	}
	return r.out
}

// apply applies a text and waits if it shall.
func (w *world) apply(text string, flags ...string) {
	w.t.Helper()
	if r := w.run(text, warrenctl, append([]string{"apply", "-f", "-"}, flags...)...); r.code != 0 {
		w.t.Fatalf("apply %q: exit %d\n%s%s", flags, r.code, r.out, r.err)
	}
}

// service is a manifest of a service; spec is YAML in flow or block style, indented by two.
func service(name, spec string) string {
	spec = strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  ")
	return fmt.Sprintf("---\napiVersion: warren.io/v1\nkind: Service\nmetadata:\n  name: %s\nspec:\n  %s\n", name, spec)
}

const image = "image: warren.io/hello:1\n"

// answer is one of HTTP.
type answer struct {
	code int
	body string
}

func get(c *http.Client, url string) (answer, error) {
	r, err := c.Get(url)
	if err != nil {
		return answer{}, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return answer{r.StatusCode, string(body)}, err
}

// api asks the node's socket; code 0 means that nobody answered.
func (w *world) api(path string) answer {
	a, err := get(w.socket, "http://warren"+path)
	if err != nil {
		return answer{body: err.Error()}
	}
	return a
}

func (w *world) readyz() answer { return w.api("/readyz") }

// check is one line of /readyz.
func (w *world) check(name string) (ok bool, message string) {
	for line := range strings.Lines(w.readyz().body) {
		var c struct {
			Name    string
			OK      bool
			Message string
		}
		if json.Unmarshal([]byte(line), &c) == nil && c.Name == name {
			return c.OK, c.Message
		}
	}
	return false, "no check " + name
}

func (w *world) list(kind string) []json.RawMessage {
	var l struct{ Items []json.RawMessage }
	if a := w.api("/v1/" + kind); a.code != http.StatusOK || json.Unmarshal([]byte(a.body), &l) != nil {
		return nil
	}
	return l.Items
}

func objects[R any](w *world, kind string) []*R {
	var all []*R
	for _, raw := range w.list(kind) {
		o := new(R)
		if err := json.Unmarshal(raw, o); err != nil {
			w.t.Fatalf("read %s: %v", raw, err)
		}
		all = append(all, o)
	}
	return all
}

// tasks of a service, oldest slot first.
func (w *world) tasks(service string) []*v1.Task {
	all := slices.DeleteFunc(objects[v1.Task](w, "tasks"), func(t *v1.Task) bool { return t.Spec.Service != service })
	slices.SortFunc(all, func(a, b *v1.Task) int { return a.Spec.Slot - b.Spec.Slot })
	return all
}

// current are the tasks of a service without those that are being stopped.
func (w *world) current(service string) []*v1.Task {
	return slices.DeleteFunc(w.tasks(service), func(t *v1.Task) bool { return !t.Metadata.Deleted.IsZero() })
}

func (w *world) service(name string) *v1.Service {
	for _, s := range objects[v1.Service](w, "services") {
		if s.Metadata.Name == name {
			return s
		}
	}
	return meta.New[v1.Service](name)
}

// events about a resource for a reason.
func (w *world) events(about, reason string) []*v1.Event {
	return slices.DeleteFunc(objects[v1.Event](w, "events"), func(e *v1.Event) bool {
		return !strings.EqualFold(e.Spec.About.String(), about) || e.Spec.Reason != reason
	})
}

// one waits until a service has exactly one task and ok says yes to it.
func (w *world) one(service, what string, ok func(*v1.Task) bool) (found *v1.Task) {
	w.t.Helper()
	w.await(service+": "+what, func() bool {
		all := w.tasks(service)
		if len(all) != 1 {
			return false
		}
		found = all[0]
		return ok(found)
	})
	return found
}

func ready(t *v1.Task) bool { return t.Status.Ready }

// await waits for a condition that must come true.
func (w *world) await(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(25 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited in vain: %s\nreadyz: %s\ntasks:\n%s", what, w.readyz().body, w.try("get", "tasks", "-o", "wide").out)
		}
	}
}

// hello is what the demo image says of itself.
type hello struct {
	Service, Task, Node, Hostname, Dir string
	PID, UID, GID                      int
	Args, Env                          []string
}

// visit asks a task over the network for itself.
func (w *world) visit(t *v1.Task) (h hello) {
	w.t.Helper()
	w.await("answer of "+t.Metadata.Name, func() bool {
		a, err := get(w.inside, "http://"+t.Status.Address+":8080/?format=json")
		return err == nil && json.Unmarshal([]byte(a.body), &h) == nil
	})
	return h
}

// alive fails unless the task answers and is the same process as before.
func (w *world) alive(t *v1.Task) {
	w.t.Helper()
	if got := w.visit(t); got.Task != t.Metadata.Name {
		w.t.Errorf("%s answers at the address of %s", got.Task, t.Metadata.Name)
	}
	if _, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", t.Status.PID)); err != nil {
		w.t.Errorf("process %d of %s is gone", t.Status.PID, t.Metadata.Name)
	}
}

// logged waits until the node's log has a line with all of the words.
func (w *world) logged(words ...string) {
	w.t.Helper()
	w.await(fmt.Sprintf("a log line with %q", words), func() bool {
		data, _ := os.ReadFile(w.logs)
		return slices.ContainsFunc(strings.Split(string(data), "\n"), func(line string) bool {
			return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) })
		})
	})
}

// write makes a file.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func contains(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%s lacks %q:\n%s", what, word, text)
		}
	}
}
