//go:build e2e

package containerd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/typeurl/v2"
	"golang.org/x/sys/unix"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
)

// looked is what the test program prints of its surroundings.
type looked struct {
	Status, Cgroup, Mounts, Hosts, Resolv, HostnameFile string
	Hostname, Cwd                                       string
	Env, Args                                           []string
	UID, GID                                            int
	Groups                                              []int
	WriteRoot                                           string
}

func (w *world) look(name string) looked {
	w.t.Helper()
	var l looked
	w.await("output of "+name, func([]host.State) bool {
		lines := w.log(name)
		return len(lines) == 1 && json.Unmarshal([]byte(lines[0].Text), &l) == nil
	})
	return l
}

func TestEveryFieldIsReal(t *testing.T) {
	w := newWorld(t)
	a := task("a")
	a.Labels = map[string]string{"team": "x"}
	a.Template = v1.TaskTemplate{
		Image: "prog:1", Command: []string{"/prog"}, Args: []string{"look", "one"},
		Env:        v1.Env{{Name: "MINE", Value: "2"}, {Name: "FROM_IMAGE", Value: "changed"}},
		WorkingDir: "/work/here/deep", User: "web", Hostname: "box.example", ReadOnlyRootFilesystem: true,
		StopSignal: "SIGINT", StopGracePeriod: new(meta.Duration(3 * time.Second)),
		Resources: v1.Resources{
			Limits:       v1.ResourceList{CPU: 500, Memory: 64 << 20, Pids: 50},
			Reservations: v1.ResourceList{CPU: 250, Memory: 32 << 20},
		},
	}
	a.Template.WorkingDir = "/work"
	w.set(a)
	s := w.awaitPhase("a", host.Running)
	l := w.look("a")
	expect := func(what string, got, want any) {
		t.Helper()
		g, _ := json.Marshal(got)
		x, _ := json.Marshal(want)
		if !bytes.Equal(g, x) {
			t.Errorf("%s is %s, want %s", what, g, x)
		}
	}
	expect("args", l.Args, []string{"/prog", "look", "one"})
	for _, e := range []string{"MINE=2", "FROM_IMAGE=changed", "PATH=/bin", "WARREN_TASK=a", "WARREN_SERVICE=svc", "WARREN_NODE=node-1", "HOSTNAME=box.example"} {
		if !slices.Contains(l.Env, e) {
			t.Errorf("environment lacks %s: %q", e, l.Env)
		}
	}
	expect("working directory", l.Cwd, "/work")
	expect("user", []int{l.UID, l.GID}, []int{101, 102})
	if !slices.Contains(l.Groups, 103) {
		t.Errorf("groups: %v", l.Groups)
	}
	expect("hostname", l.Hostname, "box.example")
	expect("hostname file", l.HostnameFile, "box.example\n")
	if !strings.Contains(l.WriteRoot, "read-only") {
		t.Errorf("root can be written: %q", l.WriteRoot)
	}
	if !strings.Contains(l.Hosts, s.Address.String()+"\tbox.example box\n") || !strings.Contains(l.Hosts, "127.0.0.1\tlocalhost") {
		t.Errorf("hosts: %q", l.Hosts)
	}
	expect("resolv.conf", l.Resolv, "nameserver 10.0.1.1\n")
	expect("seccomp", statusField(l.Status, "Seccomp"), "2")
	expect("no new privileges", statusField(l.Status, "NoNewPrivs"), "1")
	expect("capabilities in reach", statusField(l.Status, "CapBnd"), "00000000a80425fb")
	expect("capabilities of a user", statusField(l.Status, "CapEff"), "0000000000000000")
	w.checkCgroup("a", map[string][2]string{
		"cpu/cpu.cfs_quota_us":               {"50000", ""},
		"cpu/cpu.cfs_period_us":              {"100000", ""},
		"cpu/cpu.shares":                     {"256", ""},
		"memory/memory.limit_in_bytes":       {"67108864", ""},
		"memory/memory.memsw.limit_in_bytes": {"67108864", "may be missing"},
		"memory/memory.soft_limit_in_bytes":  {"33554432", ""},
		"pids/pids.max":                      {"50", ""},
	}, map[string]string{"cpu.max": "50000 100000", "memory.max": "67108864", "memory.swap.max": "0", "memory.low": "33554432", "pids.max": "50"})
	c, err := w.host.client.ContainerService().Get(w.host.ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	expect("label", c.Labels["team"], "x")
	expect("stop signal", c.Labels[labelSignal], "SIGINT")
	expect("grace", c.Labels[labelGrace], "3s")
	var spec oci.Spec
	if err := typeurl.UnmarshalTo(c.Spec, &spec); err != nil {
		t.Fatal(err)
	}
	expect("annotation", spec.Annotations["team"], "x")
	expect("cgroup", spec.Linux.CgroupsPath, "/warren-"+InstanceOf(w.data)+"/a")
	for _, p := range []string{"/proc/kcore", "/proc/keys", "/sys/firmware"} {
		if !slices.Contains(spec.Linux.MaskedPaths, p) {
			t.Errorf("%s is not masked", p)
		}
	}
	if !strings.Contains(l.Mounts, " /proc/sys proc ro") {
		t.Errorf("/proc/sys can be written: %s", l.Mounts)
	}
}

// checkCgroup compares the files of the task's control group, in the form that this machine has.
func (w *world) checkCgroup(name string, one map[string][2]string, two map[string]string) {
	w.t.Helper()
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		for f, want := range two {
			w.checkFile(filepath.Join("/sys/fs/cgroup/warren-"+InstanceOf(w.data), name, f), want)
		}
		return
	}
	for f, want := range one {
		controller, file := filepath.Split(f)
		path := filepath.Join("/sys/fs/cgroup", controller, "warren-"+InstanceOf(w.data), name, file)
		if _, err := os.Stat(path); err != nil && want[1] != "" {
			continue
		}
		w.checkFile(path, want[0])
	}
}

func (w *world) checkFile(path, want string) {
	w.t.Helper()
	data, err := os.ReadFile(path)
	if got := strings.TrimSpace(string(data)); err != nil || got != want {
		w.t.Errorf("%s is %q, want %q (%v)", path, got, want, err)
	}
}

func statusField(status, name string) string {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func TestDefaultsOfAPlainTask(t *testing.T) {
	w := newWorld(t)
	w.set(task("a", "look"))
	w.awaitPhase("a", host.Running)
	l := w.look("a")
	if l.UID != 0 || l.Hostname != "a" || l.Cwd != "/work" || l.WriteRoot != "" {
		t.Errorf("%+v", l)
	}
	if got := statusField(l.Status, "CapEff"); got != "00000000a80425fb" {
		t.Errorf("capabilities of root: %s", got)
	}
}

func TestLogsOfACrashAreComplete(t *testing.T) {
	w := newWorld(t)
	const n = 30000
	w.set(task("a", "crash", "30000"))
	s := w.awaitPhase("a", host.Exited)
	lines := w.log("a")
	out := 0
	last := ""
	for _, l := range lines {
		if l.Stream == "stdout" {
			out++
		} else if strings.HasPrefix(l.Text, "panic: ") {
			last = l.Text
		}
	}
	if s.ExitCode != 2 || out != n || last != "panic: the last words" {
		t.Errorf("exit %d, %d of %d lines, %q", s.ExitCode, out, n, last)
	}
}

// TestManyLines writes as fast as the program can and checks that what is kept has no gap.
func TestManyLines(t *testing.T) {
	w := newWorld(t)
	began := time.Now()
	w.set(task("a", "lines", "400000")) // 54 MB in the log's form, of which 30 are kept
	w.awaitPhase("a", host.Exited)
	t.Logf("400,000 lines in %v", time.Since(began))
	lines := w.log("a")
	if len(lines) < 100_000 {
		t.Fatalf("%d lines", len(lines))
	}
	for i, l := range lines {
		want := "line " + itoa(400_000-len(lines)+i) + " of"
		if !strings.HasPrefix(l.Text, want) {
			t.Fatalf("line %d of %d is %q, want %q", i, len(lines), l.Text, want)
		}
	}
	entries, err := os.ReadDir(w.data + "/logs/a")
	if err != nil || len(entries) != 4 { // three files, and the marks of attempts
		t.Errorf("%v %v", entries, err)
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

// TestFullDiskDoesNotStopATask gives the logs a disk that is full at once.
func TestFullDiskDoesNotStopATask(t *testing.T) {
	w := newWorld(t)
	logs := w.host.paths.logs
	if err := unix.Mount("tmpfs", logs, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(logs, unix.MNT_DETACH) })
	w.set(task("a", "lines", "20000")) // 2 MB
	if s := w.awaitPhase("a", host.Exited); s.ExitCode != 0 {
		t.Errorf("%+v", s)
	}
	lines := w.log("a")
	if len(lines) == 0 {
		t.Fatal("nothing was kept")
	}
	next := 0
	for _, l := range lines { // whole lines in order, and told how many are missing in between
		var lost int
		if n, _ := fmt.Sscanf(l.Text, "warren: %d lines of output were dropped: no space left on device", &lost); n == 1 {
			next += lost
			continue
		}
		if !strings.HasPrefix(l.Text, "line "+itoa(next)+" of") {
			t.Fatalf("%q, want line %d", l.Text, next)
		}
		next++
	}
	if err := unix.Mount("tmpfs", logs, "tmpfs", unix.MS_REMOUNT, "size=20m"); err != nil {
		t.Fatal(err)
	}
	again := task("a", "exit", "0")
	again.Attempt = 2
	w.set(again)
	w.await("second attempt", func(s []host.State) bool { return s[0].Attempt == 2 && s[0].Phase == host.Exited })
	if after := w.log("a"); len(after) != len(lines)+1 || after[len(lines)].Text != "bye" {
		t.Errorf("%d lines, then %d", len(lines), len(after))
	}
	w.set()
	w.awaitNone()
}
