//go:build e2e

package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/e2e/hosts"
	"warren.io/warren/runtime/store/grpcstore"
)

// patience is how long anything that must happen may take, on a machine that does much else.
const patience = 90 * time.Second

// cluster is a bench with machines that have warren.
type cluster struct {
	t     *testing.T
	bench *hosts.Bench
	all   []*machine
}

// machine is one host. Its node has the host's name.
type machine struct {
	*hosts.Host
	c    *cluster
	cmd  *exec.Cmd
	logs string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	return &cluster{t: t, bench: hosts.New(t)}
}

func (c *cluster) machine(name string) *machine {
	c.t.Helper()
	h, err := c.bench.Host(name)
	if err != nil {
		c.t.Fatal(err)
	}
	m := &machine{Host: h, c: c, logs: filepath.Join(c.t.TempDir(), name+".log")}
	c.all = append(c.all, m)
	c.t.Cleanup(m.lastLook)
	return m
}

// lastLook shows what the node logged if the test failed, and fails it if the node crashed unseen.
func (m *machine) lastLook() {
	data, _ := os.ReadFile(m.logs)
	for _, word := range []string{"panic: ", "goroutine 1 ["} {
		if i := bytes.Index(data, []byte(word)); i >= 0 {
			m.c.t.Errorf("%s in the log of %s: %s", word, m.Name, data[i:min(i+3000, len(data))])
		}
	}
	if m.c.t.Failed() {
		lines := bytes.Split(data, []byte("\n"))
		m.c.t.Logf("last words of %s:\n%s", m.Name, bytes.Join(lines[max(0, len(lines)-30):], []byte("\n")))
	}
}

func (m *machine) address() string { return m.Address.Addr().String() + ":7070" }

// warren runs a command of warren that stays, in the background.
func (m *machine) warren(args ...string) {
	m.c.t.Helper()
	out, err := os.OpenFile(m.logs, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		m.c.t.Fatal(err)
	}
	defer out.Close()
	m.cmd = m.command(warren, args...)
	m.cmd.Stdout, m.cmd.Stderr = out, out
	if err := m.cmd.Start(); err != nil {
		m.c.t.Fatal(err)
	}
	go func(cmd *exec.Cmd) { _ = cmd.Wait() }(m.cmd)
}

// command says where the directories are by variables, so that commands look as in the help.
func (m *machine) command(program string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	m.c.t.Cleanup(cancel)
	cmd := m.Command(ctx, program, args...)
	cmd.Env = append(cmd.Env, "WARREN_DATA_DIR="+m.DataDir, "WARREN_RUN_DIR="+m.RunDir)
	return cmd
}

// manager starts the first node.
func (m *machine) manager() { m.warren("run", "--node-name", m.Name, "--listen", m.address()) }

// join makes it a worker of a manager.
func (m *machine) join(at *machine) {
	m.c.t.Helper()
	token := strings.TrimSpace(at.ctl("token", "create", "--role", "worker"))
	m.warren("join", at.address(), "--token", token, "--node-name", m.Name)
}

// try runs warrenctl and returns what it prints on both streams.
func (m *machine) try(args ...string) (out, errs string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := m.Command(ctx, warrenctl, args...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	return o.String(), e.String(), err
}

func (m *machine) ctl(args ...string) string {
	m.c.t.Helper()
	out, errs, err := m.try(args...)
	if err != nil {
		m.c.t.Fatalf("%s: warrenctl %s: %v\n%s", m.Name, strings.Join(args, " "), err, errs)
	}
	return out
}

// apply gives the manager a manifest.
func (m *machine) apply(yaml string) {
	m.c.t.Helper()
	path := filepath.Join(m.c.t.TempDir(), "x.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		m.c.t.Fatal(err)
	}
	m.ctl("apply", "-f", path)
}

func (c *cluster) await(what string, ok func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			var now string
			if len(c.all) > 0 {
				now, _, _ = c.all[0].try("get", "all,events", "-o", "wide")
			}
			c.t.Fatalf("not in %s: %s\n%s", patience, what, now)
		}
	}
}

// items reads a kind at a machine; nothing where that cannot be had now.
func items[T any](m *machine, kind string) []T {
	var list struct {
		Items []T `json:"items"`
	}
	out, _, err := m.try("get", kind, "-o", "json")
	if err != nil || json.Unmarshal([]byte(out), &list) != nil {
		return nil
	}
	return list.Items
}

func (m *machine) state(of string) v1.NodeState {
	for _, n := range items[v1.Node](m, "nodes") {
		if n.Metadata.Name == of {
			return n.Status.State
		}
	}
	return ""
}

func (m *machine) awaitNodes(state v1.NodeState, names ...string) {
	m.c.t.Helper()
	for _, name := range names {
		m.c.await("node "+name+" is "+string(state), func() bool { return m.state(name) == state })
	}
}

// running are the tasks that are ready, in order of their slots.
func (m *machine) running() []v1.Task {
	out := slices.DeleteFunc(items[v1.Task](m, "tasks"), func(t v1.Task) bool { return !t.Status.Ready || !t.Metadata.Deleted.IsZero() })
	slices.SortFunc(out, func(a, b v1.Task) int { return a.Spec.Slot - b.Spec.Slot })
	return out
}

// settled waits until so many tasks run, each on a node of these, and returns them.
func (m *machine) settled(count int, on ...string) (tasks []v1.Task) {
	m.c.t.Helper()
	m.c.await("tasks run on "+strings.Join(on, ", "), func() bool {
		tasks = m.running()
		return len(tasks) == count && len(items[v1.Task](m, "tasks")) == count &&
			!slices.ContainsFunc(tasks, func(t v1.Task) bool { return !slices.Contains(on, t.Spec.Node) })
	})
	return tasks
}

// same complains if tasks were started again or replaced.
func (c *cluster) same(when string, before, after []v1.Task) {
	c.t.Helper()
	for _, b := range before {
		i := slices.IndexFunc(after, func(a v1.Task) bool { return a.Metadata.Name == b.Metadata.Name })
		if i < 0 || after[i].Status.PID != b.Status.PID || after[i].Status.Restarts != b.Status.Restarts {
			c.t.Errorf("%s: %s on %s was touched", when, b.Metadata.Name, b.Spec.Node)
		}
	}
}

func on(tasks []v1.Task, node string) []v1.Task {
	return slices.DeleteFunc(slices.Clone(tasks), func(t v1.Task) bool { return t.Spec.Node != node })
}

func (m *machine) dial() *grpcstore.Store {
	m.c.t.Helper()
	s, err := grpcstore.Dial("unix://"+filepath.Join(m.RunDir, "warren.sock"), grpcstore.Options{})
	if err != nil {
		m.c.t.Fatal(err)
	}
	return s
}

// revision is how many commits there were.
func (m *machine) revision() int64 {
	m.c.t.Helper()
	s := m.dial()
	defer s.Close()
	_, rev, err := s.List(m.c.t.Context())
	if err != nil {
		m.c.t.Fatal(err)
	}
	return rev
}

// visit asks a task for its page, on a connection through the machine's node.
func (m *machine) visit(task string) string {
	m.c.t.Helper()
	s := m.dial()
	defer s.Close()
	conn, err := s.DialTask(m.c.t.Context(), task, 8080)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET /env HTTP/1.0\r\n\r\n")
	page, _ := io.ReadAll(conn)
	return string(page)
}

// killTask ends the process of a task, as a crash does.
func (m *machine) killTask(t v1.Task) {
	m.c.t.Helper()
	if err := syscall.Kill(t.Status.PID, syscall.SIGKILL); err != nil {
		m.c.t.Fatal(err)
	}
}
