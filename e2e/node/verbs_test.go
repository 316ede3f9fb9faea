//go:build e2e

package node

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/manifest"
)

// expect checks how a command ended, and words of what it printed.
func expect(t *testing.T, what string, r result, code int, out, err string) {
	t.Helper()
	if r.code != code || !strings.Contains(r.out, out) || !strings.Contains(r.err, err) {
		t.Errorf("%s: exit %d, want %d with %q and %q\nstdout: %s\nstderr: %s", what, r.code, code, out, err, r.out, r.err)
	}
	if out == "" && r.out != "" {
		t.Errorf("%s prints %q", what, r.out)
	}
}

// TestVerbs goes through the day of somebody who works with one node.
func TestVerbs(t *testing.T) {
	t.Parallel()
	w := running(t)
	dir := t.TempDir()
	one, more := filepath.Join(dir, "one.yaml"), filepath.Join(dir, "more")
	write(t, one, service("one", image))
	write(t, filepath.Join(more, "two.yaml"), service("two", image+"env: {A: b}\nlabels: {app: shop}"))
	write(t, filepath.Join(more, "deep", "three.yaml"), service("three", image))

	// apply and diff
	expect(t, "diff of what is new", w.try("diff", "-f", one), 3, "+ service/one", "")
	expect(t, "dry run", w.try("apply", "-f", one, "--dry-run"), 0, "service/one created (dry run)\n", "")
	if n := len(w.list("services")); n != 0 {
		t.Errorf("a dry run made %d services", n)
	}
	r := w.run(service("stdin", image), warrenctl, "apply", "-f", one, "-f", more, "-f", "-", "--wait")
	expect(t, "apply", r, 0, "service/two created\n", "service/one: ")
	for _, name := range []string{"one", "two", "stdin"} {
		if s := w.service(name).Status; s.Ready != 1 || s.Desired != 1 {
			t.Errorf("after --wait %s has %+v", name, s)
		}
	}
	expect(t, "diff of what is there", w.try("diff", "-f", one), 0, "", "")
	expect(t, "apply again", w.try("apply", "-f", one, "--wait"), 0, "service/one unchanged\n", "")
	expect(t, "wait in vain", w.run(service("big", image+"resources: {reservations: {memory: 900Gi}}"), warrenctl, "apply", "-f", "-", "--wait", "--timeout", "1s"),
		4, "service/big created\n", "lacks memory")
	w.ctl("delete", "service/big")

	// get
	expect(t, "table", w.try("get", "services"), 0, "NAME", "")
	expect(t, "wide", w.try("get", "tasks", "-o", "wide"), 0, "PID", "")
	expect(t, "names", w.try("get", "svc", "-o", "name"), 0, "service/one\nservice/stdin\n", "")
	expect(t, "one", w.try("get", "service/one", "service/two", "-o", "name"), 0, "service/one\nservice/two\n", "")
	expect(t, "selector", w.try("get", "tasks", "-l", "app=shop", "-o", "name"), 0, "task/two-1-", "")
	expect(t, "nodes", w.try("get", "nodes"), 0, "Ready", "")
	expect(t, "all", w.try("get", "all"), 0, "service/one", "")
	expect(t, "nothing of that name", w.try("get", "service/none"), 1, "", `warrenctl: service "none": not found`)
	expect(t, "nothing of that kind", w.try("get", "servces"), 2, "", "did you mean")
	expect(t, "no such flag", w.try("get", "services", "--sort"), 2, "", "unknown flag --sort")
	var svc v1.Service
	if err := json.Unmarshal([]byte(w.ctl("get", "service/one", "-o", "json")), &svc); err != nil || svc.Metadata.Name != "one" || svc.Status.Ready != 1 {
		t.Errorf("json: %+v %v", svc, err)
	}
	yaml := filepath.Join(dir, "again.yaml")
	write(t, yaml, w.ctl("get", "services", "-o", "yaml"))
	expect(t, "what get prints is applied without a change", w.try("diff", "-f", yaml), 0, "", "")

	// scale, describe, logs, graph, version, image
	expect(t, "scale", w.try("scale", "service/one=3"), 0, "service/one scaled to 3\n", "")
	w.await("three run", func() bool { return w.service("one").Status.Ready == 3 })
	expect(t, "scale", w.try("scale", "service/one", "--replicas", "1"), 0, "service/one scaled to 1\n", "")
	w.await("one is left, the oldest", func() bool { return w.service("one").Status.Tasks == 1 && len(w.tasks("one")) == 1 })
	task := w.one("one", "is the first", func(t *v1.Task) bool { return t.Spec.Slot == 1 && ready(t) })
	expect(t, "describe", w.try("describe", "task/"+task.Metadata.Name), 0, task.Status.Address, "")
	expect(t, "describe", w.try("describe", "service/one"), 0, task.Metadata.Name, "")
	expect(t, "logs", w.try("logs", task.Metadata.Name), 0, "hello: listening on", "")
	expect(t, "logs of a service", w.try("logs", "service/one", "--tail", "1"), 0, task.Metadata.Name+" | ", "")
	expect(t, "logs of nobody", w.try("logs", "none"), 1, "", "not found")
	expect(t, "graph", w.try("graph"), 0, "scheduler", "")
	expect(t, "version", w.try("version"), 0, "on node n1\n", "")
	contains(t, "images", w.ctl("image", "list"), "warren.io/hello:1", "linux/")
	expect(t, "removing an image in use", w.try("image", "rm", "warren.io/hello:1"), 1, "", "uses it")
	expect(t, "removing none", w.try("image", "rm", "warren.io/none:1"), 1, "", "not found")
	expect(t, "importing what is no image", w.try("image", "import", one), 1, "", "import")

	// delete
	expect(t, "delete", w.try("delete", "service/one", "service/none"), 1, "", "not found")
	expect(t, "delete", w.try("delete", "-f", one, "-f", more), 0, "service/one deleted\n", "")
	expect(t, "delete", w.try("delete", "service/stdin"), 0, "service/stdin deleted\n", "")
	w.await("no task is left", func() bool { return len(w.list("tasks")) == 0 })
	expect(t, "removing an image", w.try("image", "rm", "warren.io/hello:1"), 0, "image warren.io/hello:1 removed\n", "")
	if left := w.host.Orphans(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	elsewhere := w.try("--server", "unix:///tmp/nowhere.sock", "get", "all")
	expect(t, "no node there", elsewhere, 1, "", "try: ")
}

// stream is a command that goes on.
type stream struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string
}

func (w *world) stream(args ...string) *stream {
	w.t.Helper()
	s := &stream{t: w.t, cmd: w.host.Command(context.Background(), warrenctl, args...), lines: make(chan string, 1000)}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(s.lines)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			s.lines <- scan.Text()
		}
	}()
	return s
}

// until waits for a line that matches.
func (s *stream) until(pattern string) string {
	s.t.Helper()
	var seen []string
	late := time.After(patience)
	for {
		select {
		case line, ok := <-s.lines:
			if seen = append(seen, line); ok && regexp.MustCompile(pattern).MatchString(line) {
				return line
			}
			if !ok {
				s.t.Fatalf("%q ended without %q: %q", s.cmd.Args, pattern, seen)
			}
		case <-late:
			s.t.Fatalf("%q does not print %q: %q", s.cmd.Args, pattern, seen)
		}
	}
}

// interrupt is Ctrl-C.
func (s *stream) interrupt() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGINT)
	for range s.lines {
	}
	_ = s.cmd.Wait()
	if code := s.cmd.ProcessState.ExitCode(); code != 130 {
		s.t.Errorf("%q ended with %d after an interruption", s.cmd.Args, code)
	}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	w := running(t)
	tasks, events := w.stream("get", "tasks", "-w"), w.stream("events", "-w")
	w.apply(service("web", image))
	tasks.until(`^web-1-1 +Preparing|^web-1-1 +Starting|^web-1-1 +Pending`)
	tasks.until(`^web-1-1 +Running`)
	task := w.one("web", "runs", ready)
	w.visit(task)
	logs := w.stream("logs", "-f", "service/web")
	logs.until(`web-1-1 +\| hello: listening on`)
	if _, err := get(w.inside, "http://"+task.Status.Address+":8080/env?here"); err != nil {
		t.Error(err)
	}
	logs.until(`GET /env\?here from`)
	_, _ = get(w.inside, "http://"+task.Status.Address+":8080/crash") // it has no time to answer
	logs.until(`hello: crashing as told`)
	tasks.until(`^web-1-1 +Running +1 `)
	logs.until(`hello: listening on`)

	// The node ends and comes again: those who watch go on.
	w.terminate()
	w.start()
	w.ready()
	if _, err := get(w.inside, "http://"+task.Status.Address+":8080/env?there"); err != nil {
		t.Error(err)
	}
	logs.until(`GET /env\?there from`)
	w.apply(service("web", image+"env: {B: c}"))
	events.until(`service/web +Updating`)
	tasks.until(`^web-1-2 +Running`)
	for _, s := range []*stream{tasks, events, logs} {
		s.interrupt()
	}
}

// TestMalformed: twenty mistakes, each refused with its place, and nothing of the rest of the file is applied.
func TestMalformed(t *testing.T) {
	t.Parallel()
	w := running(t)
	data, err := os.ReadFile("../../runtime/manifest/testdata/spec.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	unescape := strings.NewReplacer(`\n`, "\n  ", `\t`, "\t", `\\`, `\`)
	tried := 0
	for i := 0; i < len(lines); i += len(lines)/20 + 1 {
		bad, _, _ := strings.Cut(lines[i], " => ")
		text := service("good", image) + "---\napiVersion: warren.io/v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  image: a:1\n  " + unescape.Replace(bad) + "\n"
		r := w.run(text, warrenctl, "apply", "-f", "-")
		if r.code != 1 || r.out != "" || !regexp.MustCompile(`(?m)^stdin:\d+: `).MatchString(r.err) || !strings.Contains(r.err, "nothing was done") {
			t.Errorf("%s: %+v", bad, r)
		}
		tried++
	}
	if n := len(w.list("services")); n != 0 || tried < 18 {
		t.Errorf("%d services were made, %d manifests tried", n, tried)
	}
}

// TestExamples: every example is good, and applied all at once they run.
func TestExamples(t *testing.T) {
	t.Parallel()
	w := running(t)
	docs, err := manifest.Read(nil, "../../manifests/examples")
	if err != nil {
		t.Fatal(err)
	}
	w.ctl("apply", "-f", "../../manifests/examples", "--wait")
	for _, d := range docs {
		if s := w.service(d.Object.Meta().Name).Status; s.Ready == 0 || s.Ready != s.Desired {
			t.Errorf("%s: %+v", d.Object.Key(), s)
		}
	}
	expectNames := w.ctl("get", "services", "-l", "app=shop", "-o", "name")
	if expectNames != "service/orders\nservice/stock\nservice/web\n" {
		t.Errorf("app=shop finds %q", expectNames)
	}
}
