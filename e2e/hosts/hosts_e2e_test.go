//go:build e2e

package hosts

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/network"
)

func mustHost(t *testing.T, b *Bench, name string) *Host {
	t.Helper()
	h, err := b.Host(name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// reach opens a TCP connection from one host to another.
func reach(t *testing.T, from, to *Host) error {
	t.Helper()
	var l net.Listener
	err := to.Do(func() (err error) { l, err = net.Listen("tcp4", to.Address.Addr().String()+":0"); return err })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return from.Do(func() error {
		c, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(t.Context(), "tcp4", l.Addr().String())
		if err == nil {
			c.Close()
		}
		return err
	})
}

// task makes what a node has on the machine for one running task: namespace, link, cgroups, mounts, directories, processes.
func task(t *testing.T, h *Host, id string) {
	t.Helper()
	var a host.Attachment
	err := h.Do(func() error {
		n, err := network.Open(network.Config{RunDir: h.RunDir, Instance: h.Instance})
		if err != nil {
			return err
		}
		defer n.Close()
		if err := n.Configure(t.Context(), host.NetworkConfig{Subnet: netip.MustParsePrefix("10.0.1.0/24")}); err != nil {
			return err
		}
		a, err = n.Attach(t.Context(), id, netip.Addr{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(h.RunDir, "containerd", "io.containerd.runtime.v2.task", "warren", id, "rootfs")
	if err := errors.Join(os.MkdirAll(root, 0o755), syscall.Mount("tmpfs", root, "tmpfs", 0, "")); err != nil {
		t.Fatal(err)
	}
	start(t, exec.Command("nsenter", "--net="+a.NetNS, "--", "sleep", "1000"))
	inCgroups := start(t, exec.Command("sleep", "1001"))
	for _, top := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup/freezer", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		dir := filepath.Join(top, cgroupName(h.Instance), id)
		if _, err := os.Stat(filepath.Join(top, "cgroup.procs")); err != nil {
			continue
		}
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(fmt.Sprint(inCgroups)), 0)); err != nil {
			t.Fatal(err)
		}
	}
}

// start runs cmd and takes it off the machine's list of zombies when it is killed.
func start(t *testing.T, cmd *exec.Cmd) (pid int) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go cmd.Wait()
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd.Process.Pid
}

// traces lists what the machine has of a bench.
func traces(t *testing.T, b *Bench) (found []string) {
	t.Helper()
	for _, pattern := range []string{benchPrefix + b.ID, nsPrefix + b.ID + "-*"} {
		paths, _ := filepath.Glob(pattern)
		found = append(found, paths...)
	}
	points, err := mountsBelow("/tmp/w-" + b.ID)
	if err != nil {
		t.Fatal(err)
	}
	found = append(found, points...)
	for _, h := range b.hosts {
		groups, err1 := cgroupsOf(h.Instance)
		processes, err2 := h.Processes()
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		found = append(found, groups...)
		for _, p := range processes {
			found = append(found, fmt.Sprint(p))
		}
	}
	return found
}

func TestHostsReachEachOther(t *testing.T) {
	b := New(t)
	x, y := mustHost(t, b, "x"), mustHost(t, b, "y")
	if err := reach(t, x, y); err != nil {
		t.Error(err)
	}
	if err := x.Cut(); err != nil {
		t.Fatal(err)
	}
	if err := reach(t, x, y); err == nil {
		t.Error("a cut host is reached")
	}
	if err := x.Heal(); err != nil {
		t.Fatal(err)
	}
	if err := eventually(t, func() error { return reach(t, y, x) }); err != nil {
		t.Error(err)
	}
	out, err := x.Command(t.Context(), "sh", "-c", "cat /proc/net/fib_trie; echo $WARREN_SERVER; ls /sys/fs/cgroup").CombinedOutput()
	for _, want := range []string{x.Address.Addr().String(), "unix://" + x.RunDir + "/warren.sock"} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%q is missing in the output: %v\n%s", want, err, out)
		}
	}
	if entries, _ := os.ReadDir("/sys/fs/cgroup"); len(entries) > 0 && !strings.Contains(string(out), entries[0].Name()) {
		t.Errorf("the cgroup tree is not seen in a host:\n%s", out)
	}
	if _, err := b.Host("x"); err == nil {
		t.Error("two hosts have one name")
	}
}

func eventually(t *testing.T, f func() error) (err error) {
	for range 5 {
		if err = f(); err == nil || t.Context().Err() != nil {
			return err
		}
	}
	return err
}

func TestOrphansKillAndCleanup(t *testing.T) {
	b := New(t)
	x, y := mustHost(t, b, "x"), mustHost(t, b, "y")
	for _, h := range []*Host{x, y} {
		task(t, h, "web-1-1")
		task(t, h, "web-2-1")
		start(t, h.Command(context.Background(), "sleep", "1002"))
		if err := eventuallyRuns(h, 5); err != nil {
			t.Fatal(err)
		}
	}
	if got := x.Orphans(t, "web-1-1", "web-2-1"); len(got) != 0 {
		t.Errorf("orphans of healthy tasks: %q", got)
	}
	got := strings.Join(x.Orphans(t, "web-1-1"), "\n")
	for _, want := range []string{"link wv", "file " + x.RunDir + "/netns/web-2-1", "mount " + x.RunDir + "/netns/web-2-1", "/web-2-1/rootfs", "cgroup /sys/fs/cgroup/", `of task "web-2-1": sleep 1000`, `of task "web-2-1": sleep 1001`} {
		if !strings.Contains(got, want) {
			t.Errorf("no orphan %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "web-1-1") || strings.Contains(got, y.RunDir) {
		t.Errorf("not an orphan of x without web-2-1:\n%s", got)
	}
	if err := x.Kill(Task); err != nil {
		t.Error(err)
	}
	if left, _ := x.Processes(); len(left) != 1 || left[0].Kind != Other {
		t.Errorf("after the tasks were killed: %v", left)
	}
	if left, _ := y.Processes(); len(left) != 5 {
		t.Errorf("on the other host: %v", left)
	}
	closeAndLook(t, b)
}

// eventuallyRuns waits until nsenter has become the program that it starts.
func eventuallyRuns(h *Host, count int) error {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		all, err := h.Processes()
		running := slices.DeleteFunc(slices.Clone(all), func(p Process) bool { return p.Args[0] != "sleep" })
		if err != nil || len(running) == count {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes run, want %d: %v", len(running), count, all)
		}
	}
}

func closeAndLook(t *testing.T, b *Bench) {
	t.Helper()
	begin := time.Now()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("cleaned up in %v", time.Since(begin))
	if got := traces(t, b); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
}

func TestRebootKeepsOnlyTheDisk(t *testing.T) {
	b := New(t)
	x, y := mustHost(t, b, "x"), mustHost(t, b, "y")
	task(t, x, "web-1-1")
	if err := os.WriteFile(filepath.Join(x.DataDir, "kept"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := x.Reboot(); err != nil {
		t.Fatal(err)
	}
	if got := x.Orphans(t); len(got) != 0 {
		t.Errorf("after a reboot: %q", got)
	}
	if got, _ := os.ReadDir(x.RunDir); len(got) != 0 {
		t.Errorf("in the run directory after a reboot: %v", got)
	}
	if _, err := os.Stat(filepath.Join(x.DataDir, "kept")); err != nil {
		t.Error(err)
	}
	if out, err := x.Command(t.Context(), "cat", "/proc/net/dev").Output(); err != nil || strings.Contains(string(out), "warren0") {
		t.Errorf("links after a reboot: %v\n%s", err, out)
	}
	if err := reach(t, x, y); err != nil {
		t.Error(err)
	}
	closeAndLook(t, b)
}

// TestBenchOfADeadProcessIsRemoved kills a process that has a bench with tasks.
func TestBenchOfADeadProcessIsRemoved(t *testing.T) {
	if os.Getenv("WARREN_TEST_BENCH_DIES") != "" {
		b := New(t)
		task(t, mustHost(t, b, "x"), "web-1-1")
		fmt.Println("BENCH", b.ID)
		select {}
	}
	New(t)
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "WARREN_TEST_BENCH_DIES=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	id := ""
	for lines := bufio.NewScanner(out); id == "" && lines.Scan(); {
		_, id, _ = strings.Cut(lines.Text(), "BENCH ")
	}
	dead := &Bench{ID: id, dir: benchPrefix + id}
	dead.hosts = []*Host{newHost(dead, "x")}
	New(t) // must leave the living one alone
	if got := traces(t, dead); len(got) < 8 {
		t.Fatalf("the bench %q of a living process has only %q", id, got)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	New(t)
	if got := traces(t, dead); len(got) != 0 {
		t.Errorf("left of a dead process: %q", got)
	}
}
