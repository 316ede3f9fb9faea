//go:build e2e

package containerd

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/host"
)

// child is a host in a process of its own.
type child struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Writer

	mu     sync.Mutex
	states []host.State
	heard  bool
}

func (w *world) child() *child {
	w.t.Helper()
	config, _ := json.Marshal(childConfig{w.data, w.run, "c1"})
	c := &child{t: w.t, cmd: again("host")}
	c.cmd.Env = append(c.cmd.Env, configEnv+"="+string(config))
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	c.in = in
	go c.listen(out)
	w.t.Cleanup(c.kill)
	return c
}

func (c *child) listen(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r report
		if json.Unmarshal(lines.Bytes(), &r) == nil {
			c.mu.Lock()
			c.states, c.heard = r.States, true
			c.mu.Unlock()
		}
	}
}

func (c *child) set(tasks ...host.Task) {
	line, _ := json.Marshal(tasks)
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		c.t.Fatal(err)
	}
}

func (c *child) await(what string, ok func([]host.State) bool) []host.State {
	c.t.Helper()
	deadline := time.Now().Add(40 * time.Second)
	for {
		c.mu.Lock()
		states, heard := c.states, c.heard
		c.mu.Unlock()
		if heard && ok(states) {
			return states
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("waiting for %s: %+v", what, states)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

func allIn(phase host.Phase, n int) func([]host.State) bool {
	return func(states []host.State) bool {
		return len(states) == n && !slices.ContainsFunc(states, func(s host.State) bool { return s.Phase != phase })
	}
}

// withImage imports the test image and closes the host again, so that a child can have the folders.
func withImage(t *testing.T) *world {
	w := emptyWorld(t)
	w.open()
	w.importImage()
	w.close()
	return w
}

func TestKilledHostAdoptsWhatRuns(t *testing.T) {
	w := withImage(t)
	want := []host.Task{task("a", "sleep"), task("b", "trap", "0"), task("c", "exit", "4")}
	want[1].Attempt, want[1].Failures = 7, 3
	c := w.child()
	c.set(want...)
	before := c.await("all started", func(s []host.State) bool {
		return len(s) == 3 && s[0].Phase == host.Running && s[1].Phase == host.Running && s[2].Phase == host.Exited
	})
	c.kill()
	d := w.child() // has no wish yet: must only look
	after := d.await("adopted", func(s []host.State) bool { return len(s) == 3 })
	for i := range before {
		b, a := before[i], after[i]
		if gap := a.StartedAt.Sub(b.StartedAt).Abs(); gap > time.Second {
			t.Errorf("%s: started at %v, then %v", a.Name, b.StartedAt, a.StartedAt)
		}
		if !a.ExitedAt.Equal(b.ExitedAt) {
			t.Errorf("%s: exited at %v, then %v", a.Name, b.ExitedAt, a.ExitedAt)
		}
		a.StartedAt, a.ExitedAt, b.StartedAt, b.ExitedAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
		x, _ := json.Marshal(a)
		y, _ := json.Marshal(b)
		if string(x) != string(y) {
			t.Errorf("adopted\n%s\nwas\n%s", x, y)
		}
	}
	d.set(want...)
	d.set(want[1:]...)
	d.await("a is gone", func(s []host.State) bool { return len(s) == 2 && s[0].PID == before[1].PID })
}

func TestStoppingSurvivesKill(t *testing.T) {
	w := withImage(t)
	a := task("a", "ignore")
	a.Template.StopGracePeriod = new(meta.Duration(time.Second))
	c := w.child()
	c.set(a)
	c.await("running", allIn(host.Running, 1))
	c.set()
	c.await("stopping", allIn(host.Stopping, 1))
	c.kill()
	d := w.child()
	d.await("adopted", allIn(host.Running, 1))
	d.set()
	d.await("gone", func(s []host.State) bool { return len(s) == 0 })
}

func TestShimKilled(t *testing.T) {
	w := newWorld(t)
	w.set(task("a", "sleep"), task("b", "sleep"))
	w.await("both run", allIn(host.Running, 2))
	states, _ := w.host.Observe(bg())
	for _, p := range w.host.shims() {
		if p.argument("-id") == "a" {
			_ = syscall.Kill(p.pid, syscall.SIGKILL)
		}
	}
	if s := w.awaitPhase("a", host.Exited); s.Reason != host.ReasonLost {
		t.Errorf("%+v", s)
	}
	w.await("the process is gone", func([]host.State) bool { return !alive(states[0].PID) })
	again := task("a", "sleep")
	again.Attempt = 2
	w.set(again, task("b", "sleep"))
	s := w.awaitPhase("a", host.Running)
	if s.Attempt != 2 || s.Address != states[0].Address {
		t.Errorf("%+v", s)
	}
	if b := w.awaitPhase("b", host.Running); b.PID != states[1].PID {
		t.Errorf("the other task was touched: %+v", b)
	}
	w.set()
	w.awaitNone()
	w.assertClean()
}

func alive(pid int) bool {
	_, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)) // a zombie has none
	return err == nil
}

func TestAllKilledWhileDown(t *testing.T) {
	w := newWorld(t)
	w.set(task("a", "sleep"), task("b", "sleep"))
	w.await("both run", allIn(host.Running, 2))
	w.close()
	h := &Host{namespace: "warren", paths: mustPaths(t, w)}
	for _, p := range h.shims() {
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
	}
	w.open()
	for _, name := range []string{"a", "b"} {
		if s := w.awaitPhase(name, host.Exited); s.Reason != host.ReasonLost {
			t.Errorf("%+v", s)
		}
	}
	w.set()
	w.awaitNone()
	w.assertClean()
}

func mustPaths(t *testing.T, w *world) paths {
	t.Helper()
	p, err := newPaths(Config{DataDir: w.data, RunDir: w.run, Instance: InstanceOf(w.data)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRebootLosesTasksButKeepsResults(t *testing.T) {
	w := newWorld(t)
	w.set(task("a", "sleep"), task("b", "exit", "5"))
	w.awaitPhase("b", host.Exited)
	w.awaitPhase("a", host.Running)
	p := w.host.paths
	w.close()
	// What a power cut does: processes and everything below RUN are gone, the rest is as it was.
	h := &Host{namespace: "warren", paths: p}
	for _, s := range h.shims() {
		_ = syscall.Kill(s.pid, syscall.SIGKILL)
	}
	if err := killCgroup("/warren-" + InstanceOf(w.data)); err != nil {
		t.Fatal(err)
	}
	for _, m := range slices.Backward(mountsBelow(t, w.run)) {
		_ = syscall.Unmount(m, syscall.MNT_DETACH)
	}
	if err := os.RemoveAll(w.run); err != nil {
		t.Fatal(err)
	}
	w.open()
	if s := w.awaitPhase("a", host.Exited); s.Reason != host.ReasonLost {
		t.Errorf("%+v", s)
	}
	if s := w.awaitPhase("b", host.Exited); s.ExitCode != 5 || s.Reason != host.ReasonExited {
		t.Errorf("%+v", s)
	}
}

func TestOrphansAreRemoved(t *testing.T) {
	w := newWorld(t)
	w.set(task("keep", "sleep"))
	before := w.awaitPhase("keep", host.Running)
	w.close()
	for _, dir := range []string{w.data + "/logs/lost", w.run + "/tasks/lost", w.run + "/runc/warren/lost", w.data + "/bin/0123"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cg := filepath.Join("/sys/fs/cgroup/pids/warren-"+InstanceOf(w.data), "lost")
	if mounts, _ := cgroupMounts(); len(mounts) == 1 {
		cg = filepath.Join(mounts[0], "warren-"+InstanceOf(w.data), "lost")
	}
	if err := os.MkdirAll(cg, 0o755); err != nil {
		t.Fatal(err)
	}
	sleep := exec.Command("sleep", "1000") // somebody's process that outlived everything
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cg+"/cgroup.procs", fmt.Appendf(nil, "%d", sleep.Process.Pid), 0o644); err != nil {
		t.Fatal(err)
	}
	n := &fakeNetwork{dir: w.run + "/netns"}
	if _, err := n.Attach(bg(), "lost", before.Address); err != nil {
		t.Fatal(err)
	}
	w.open()
	img, err := w.host.images.find(w.host.ctx, "prog:1", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.host.client.SnapshotService(snapshotter).Prepare(w.host.ctx, snapshotPrefix+"lost-1-1", img.chain, withRoot); err != nil {
		t.Fatal(err)
	}
	if err := sleep.Process.Signal(syscall.Signal(0)); err != nil {
		t.Error("something was removed before the first wish")
	}
	w.set(task("keep", "sleep"))
	_ = sleep.Wait() // ends when it is killed
	w.awaitNoOrphans()
	if s := w.awaitPhase("keep", host.Running); s.PID != before.PID {
		t.Errorf("the healthy task was touched: %+v", s)
	}
}

func (w *world) awaitNoOrphans() {
	w.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for len(w.orphans()) > 0 {
		if time.Now().After(deadline) {
			w.t.Fatalf("orphans: %v", w.orphans())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (w *world) orphans() []string {
	var all []string
	for _, kind := range w.host.orphanKinds() {
		names, _ := kind.list(w.host.ctx)
		for _, name := range names {
			if !w.host.owned(kind.owner(name)) {
				all = append(all, kind.name+" "+name)
			}
		}
	}
	return all
}

func TestOtherClustersAreLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.set(task("a", "sleep"))
	s := w.awaitPhase("a", host.Running)
	w.close()
	cfg := testConfig(w.data, w.run, "c2", func() {})
	h, err := Open(bg(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.host = h
	w.await("ready", func(s []host.State) bool { return len(s) == 0 })
	w.set(task("b", "exit", "0"))
	w.awaitPhase("b", host.Exited)
	w.set()
	w.awaitNone()
	if !alive(s.PID) {
		t.Error("a task of another cluster was ended")
	}
	w.close()
	w.open()
	w.awaitPhase("a", host.Running)
}

// TestKillAtRandomMoments kills the host while tasks come and go, sometimes with shims and tasks, and checks that the next
// one comes to the right end.
func TestKillAtRandomMoments(t *testing.T) {
	w := withImage(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	names := []string{"a", "b", "c", "d", "e"}
	attempts := map[string]int{}
	for range 25 {
		c := w.child()
		for range rnd.IntN(3) + 1 {
			var want []host.Task
			for _, n := range names {
				if rnd.IntN(3) > 0 {
					attempts[n] += rnd.IntN(2)
					k := task(n, []string{"sleep", "ignore", "exit"}[rnd.IntN(3)], "1")
					k.Attempt, k.UID = attempts[n]+1, 1+int64(rnd.IntN(8)/7)
					want = append(want, k)
				}
			}
			c.set(want...)
			time.Sleep(time.Duration(rnd.IntN(150)) * time.Millisecond) // the random moment
		}
		first := rnd.IntN(2) == 0
		if first {
			c.kill()
		}
		killSome(rnd, mustPaths(t, w), "/warren-"+InstanceOf(w.data))
		if !first {
			c.kill()
		}
	}
	w.open()
	last := []host.Task{task("a", "sleep"), task("b", "sleep")}
	for i := range last {
		last[i].Attempt = 100
	}
	w.set(last...)
	w.await("the last wish", func(s []host.State) bool {
		return allIn(host.Running, 2)(s) && s[0].Attempt == 100 && s[1].Attempt == 100
	})
	w.awaitNoOrphans()
	if n := len(w.host.shims()); n != 2 {
		t.Errorf("%d shims", n)
	}
	w.set()
	w.awaitNone()
	w.assertClean()
}

// killSome kills shims and tasks' processes, each with some chance.
func killSome(rnd *rand.Rand, p paths, cgroup string) {
	h := &Host{namespace: "warren", paths: p}
	for _, s := range h.shims() {
		if rnd.IntN(4) == 0 {
			_ = syscall.Kill(s.pid, syscall.SIGKILL)
		}
	}
	pids, _ := cgroupPids(cgroup)
	for _, pid := range pids {
		if rnd.IntN(4) == 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func TestFailedStartIsRemembered(t *testing.T) {
	w := newWorld(t)
	bad := task("refused", "sleep")
	bad.Attempt, bad.Failures = 4, 3
	w.set(bad)
	want := w.awaitPhase("refused", host.Failed)
	if want.Reason != host.ReasonStartFailed || !strings.Contains(want.Message, "no address is free") {
		t.Errorf("%+v", want)
	}
	w.close()
	w.open()
	if s := w.awaitPhase("refused", host.Failed); s.Attempt != 4 || s.Failures != 3 || s.Message != want.Message {
		t.Errorf("%+v", s)
	}
	w.set()
	w.awaitNone()
	w.assertClean()
}

// TestNewVersionOfPrograms: what an upgrade does. Old shims go on, new attempts get the new one, old folders go when unused.
func TestNewVersionOfPrograms(t *testing.T) {
	w := newWorld(t)
	w.set(task("a", "sleep"), task("b", "sleep"))
	before := w.await("both run", allIn(host.Running, 2))
	old := w.host.programs
	next := programs{dir: filepath.Join(w.host.paths.bin, "next")}
	next.shim, next.runc = filepath.Join(next.dir, "shim"), filepath.Join(next.dir, "runc")
	if out, err := exec.Command("cp", "-a", old.dir, next.dir).CombinedOutput(); err != nil {
		t.Fatalf("%s %v", out, err)
	}
	w.close()
	w.open()
	w.host.programs = next
	again := task("a", "sleep")
	again.Attempt = 2
	w.set(again, task("b", "sleep"))
	s := w.await("the next attempt", func(s []host.State) bool {
		// containerd clears up behind an old shim by the task's name, on a busy machine when the next attempt is there already; the
		// agent tries again then.
		if s[0].Phase == host.Failed && s[0].Reason == host.ReasonStartFailed && s[0].Attempt == again.Attempt && again.Attempt < 5 {
			again.Attempt++
			w.set(again, task("b", "sleep"))
		}
		return s[0].Attempt == again.Attempt && s[0].Phase == host.Running
	})
	if s[1].PID != before[1].PID {
		t.Error("the other task was restarted")
	}
	exes := map[string]string{}
	for _, p := range w.host.shims() {
		exes[p.argument("-id")] = p.exe
	}
	if exes["a"] != next.shim || exes["b"] != old.shim {
		t.Errorf("%v", exes)
	}
	w.host.sweep()
	if _, err := os.Stat(old.shim); err != nil {
		t.Error("programs in use were removed")
	}
	w.set(again)
	w.await("b is gone", func(s []host.State) bool { return len(s) == 1 })
	w.host.sweep()
	if _, err := os.Stat(old.shim); err == nil {
		t.Error("unused programs are kept")
	}
}
