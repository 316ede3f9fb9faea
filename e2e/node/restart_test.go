//go:build e2e

package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "warren.io/warren/apis/v1"
)

func phase(p v1.TaskPhase) func(*v1.Task) bool {
	return func(t *v1.Task) bool { return t.Status.Phase == p }
}

func TestRestartPolicies(t *testing.T) {
	t.Parallel()
	w := running(t)
	quick := func(policy string, code int) string {
		return fmt.Sprintf("%sargs: [-exit, %q]\nrestart: {policy: %s, delay: 100ms, maxDelay: 200ms}", image, fmt.Sprint(code), policy)
	}
	w.apply(service("never-well", quick("Never", 0)) + service("never-ill", quick("Never", 3)) + service("failure-well", quick("OnFailure", 0)) +
		service("failure-ill", quick("OnFailure", 4)) + service("always", quick("Always", 0)))
	restarted := func(t *v1.Task) bool { return t.Status.Restarts >= 2 && t.Status.Phase == v1.TaskRunning }
	again := w.one("failure-ill", "is started again", restarted)
	if again.Status.ExitCode == nil || *again.Status.ExitCode != 4 {
		t.Errorf("status %+v", again.Status)
	}
	w.one("always", "is started again", restarted)
	for name, want := range map[string]struct {
		phase v1.TaskPhase
		code  int
	}{"never-well": {v1.TaskComplete, 0}, "never-ill": {v1.TaskFailed, 3}, "failure-well": {v1.TaskComplete, 0}} {
		task := w.one(name, string(want.phase), phase(want.phase))
		if st := task.Status; st.Restarts != 0 || st.ExitCode == nil || *st.ExitCode != want.code || task.Metadata.Name != name+"-1-1" {
			t.Errorf("%s: %+v", name, st)
		}
	}
}

// starts reads when a task's process wrote its first line, of all its attempts.
func (w *world) starts(task string) (at []time.Time) {
	data, _ := os.ReadFile(filepath.Join(w.host.DataDir, "logs", task, "current.log"))
	for line := range strings.Lines(string(data)) {
		stamp, rest, _ := strings.Cut(line, " ")
		if when, err := time.Parse(time.RFC3339Nano, stamp); err == nil && strings.HasSuffix(rest, " line 1\n") {
			at = append(at, when)
		}
	}
	return at
}

// TestDelaysGrow: a crash loop is told once, shows in the status, and its restarts come ever later up to maxDelay.
func TestDelaysGrow(t *testing.T) {
	t.Parallel()
	w := running(t)
	w.apply(service("ill", image+`
args: [-lines, "1", -exit, "1"]
restart: {delay: 200ms, maxDelay: 1600ms}`))
	task := w.one("ill", "loops", func(t *v1.Task) bool { return t.Status.Restarts >= 6 && t.Status.Reason == v1.ReasonCrashLoop })
	contains(t, "message", task.Status.Message, "exited with code 1", "started again at")
	contains(t, "list", w.ctl("get", "tasks"), "CrashLoop")
	at := w.starts(task.Metadata.Name)
	if len(at) < 6 {
		t.Fatalf("starts at %v", at)
	}
	for i, want := range []time.Duration{200, 400, 800, 1600, 1600} {
		gap := at[i+1].Sub(at[i])
		if least := want * time.Millisecond * 9 / 10; gap < least || gap > 2*want*time.Millisecond+time.Second {
			t.Errorf("restart %d after %v, want about %v ms", i+1, gap, int64(want))
		}
	}
	if e := w.events("Task/"+task.Metadata.Name, "CrashLoop"); len(e) != 1 || e[0].Status.Count != 1 || e[0].Spec.Type != v1.EventWarning {
		t.Errorf("events of the crash loop: %+v", e)
	}
}

func TestGivenUpAndReplaced(t *testing.T) {
	t.Parallel()
	w := running(t)
	w.apply(service("hopeless", image+`
args: [-lines, "1", -exit, "1"]
restart: {delay: 100ms, maxDelay: 3s, maxAttempts: 2}`))
	first := w.one("hopeless", "is given up", phase(v1.TaskFailed))
	if first.Status.Reason != v1.ReasonMaxAttempts || first.Status.Restarts != 2 || len(w.starts(first.Metadata.Name)) != 3 {
		t.Errorf("given up: %+v after %v", first.Status, w.starts(first.Metadata.Name))
	}
	next := w.one("hopeless", "is replaced", func(t *v1.Task) bool { return t.Metadata.Name == "hopeless-1-2" })
	if wait := next.Metadata.Created.Sub(first.Status.FinishedAt); wait < 3*time.Second || wait > 15*time.Second {
		t.Errorf("replaced after %v, want 3 s", wait)
	}
	if e := w.events("Service/hopeless", "TaskReplaced"); len(e) != 1 {
		t.Errorf("events: %+v", e)
	}
}

// TestHealthyEndsTheRow: who ran for the window begins a new row of failures.
func TestHealthyEndsTheRow(t *testing.T) {
	t.Parallel()
	w := running(t)
	w.apply(service("later", image+`
args: [-fail-after, 700ms]
restart: {delay: 100ms, window: 500ms}`) + service("sooner", image+`
args: [-fail-after, 300ms]
restart: {delay: 100ms, maxDelay: 300ms, window: 60s}`))
	loop := w.one("sooner", "is a crash loop", func(t *v1.Task) bool { return t.Status.Reason == v1.ReasonCrashLoop })
	if loop.Status.Failures < 3 {
		t.Errorf("crash loop after %d failures", loop.Status.Failures)
	}
	worst := 0
	w.one("later", "was started again five times", func(t *v1.Task) bool {
		worst = max(worst, t.Status.Failures)
		return t.Status.Restarts >= 5
	})
	if worst > 1 || len(w.events("Task/later-1-1", "CrashLoop")) > 0 {
		t.Errorf("%d failures in a row of a task that was healthy in between", worst)
	}
	w.apply(service("sooner", image+"restart: {delay: 100ms, window: 500ms}"), "--wait")
	w.one("sooner", "is well", func(t *v1.Task) bool { return ready(t) && t.Status.Failures == 0 })
}

func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	w := running(t)
	w.apply(service("eater", image+`
args: [-eat, 128Mi]
resources: {limits: {memory: 32Mi}}
restart: {delay: 200ms, maxDelay: 400ms}`))
	const why = "killed for using more memory than its limit"
	task := w.one("eater", why, func(t *v1.Task) bool { return strings.Contains(t.Status.Message, why) })
	if task.Status.ExitReason != "OOMKilled" || ready(task) {
		t.Errorf("status %+v", task.Status)
	}
	w.one("eater", "is a crash loop", func(t *v1.Task) bool { return t.Status.Reason == v1.ReasonCrashLoop })
	contains(t, "description", w.ctl("describe", "task/"+task.Metadata.Name), "memory")
}

// TestLogsAreBounded: what is kept of 100 MB is the newest 30 MB at most, without a gap.
func TestLogsAreBounded(t *testing.T) {
	t.Parallel()
	w := running(t)
	w.apply(service("chatty", image+`args: [-lines, "100000", -width, "1000"]`), "--wait")
	task := w.one("chatty", "listens", ready)
	w.visit(task)
	files, _ := filepath.Glob(filepath.Join(w.host.DataDir, "logs", task.Metadata.Name, "*.log"))
	var total int64
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			total += info.Size()
		}
	}
	if len(files) > 3 || total > 31<<20 || total < 15<<20 {
		t.Errorf("%d bytes in %q", total, files)
	}
	lines := strings.Split(strings.TrimSpace(w.ctl("logs", task.Metadata.Name)), "\n")
	next := 0
	for _, line := range lines {
		var n int
		if _, err := fmt.Sscanf(line, "line %d ", &n); err != nil {
			continue
		}
		if next != 0 && n != next {
			t.Fatalf("line %d comes where %d should", n, next)
		}
		next = n + 1
	}
	if next != 100001 {
		t.Errorf("the newest line is %d of %d", next-1, len(lines))
	}
}

// TestRollingUpdate looks from outside: at any moment at most one of three does not answer.
func TestRollingUpdate(t *testing.T) {
	t.Parallel()
	w := running(t)
	w.apply(service("web", image+"replicas: 3\nenv: {VERSION: one}"), "--wait")
	before := w.tasks("web")
	w.apply(service("web", image+"replicas: 3\nenv: {VERSION: two}"))
	least := 3
	var order []string
	w.await("all are new", func() bool {
		up, fresh := 0, 0
		for _, task := range w.current("web") {
			if !task.Metadata.Deleted.IsZero() || !ready(task) {
				continue
			}
			if up++; task.Spec.Env[0].Value == "two" {
				if fresh++; !contained(order, task.Metadata.Name) {
					order = append(order, task.Metadata.Name)
				}
			}
		}
		least = min(least, up)
		return fresh == 3
	})
	if least < 2 {
		t.Errorf("only %d of 3 ran during the update", least)
	}
	w.ctl("apply", "-f", "../../manifests/examples/hello.yaml", "--wait")
	for _, task := range w.current("web") {
		if got := w.visit(task); !contained(got.Env, "VERSION=two") {
			t.Errorf("%s has %q", task.Metadata.Name, got.Env)
		}
	}
	if strings.Join(order, " ") != "web-1-4 web-2-5 web-3-6" {
		t.Errorf("updated in the order %q after %d tasks", order, len(before))
	}
}

func contained(list []string, s string) bool {
	return strings.Contains(" "+strings.Join(list, " ")+" ", " "+s+" ")
}

func TestStopSignalAndGracePeriod(t *testing.T) {
	t.Parallel()
	w := running(t)
	w.apply(service("signal", image+"stopSignal: SIGUSR1")+service("slow", image+`
args: [-stop-slow, 60s]
stopGracePeriod: 1500ms`), "--wait")
	w.visit(w.one("signal", "runs", ready))
	w.visit(w.one("slow", "runs", ready))
	follow := make(chan result, 1)
	go func() { follow <- w.run("", warrenctl, "logs", "-f", "signal-1-1") }()
	began := time.Now()
	w.ctl("delete", "service/signal", "service/slow")
	w.await("the signalled one is gone", func() bool { return len(w.tasks("signal")) == 0 })
	if took := time.Since(began); took > time.Second+500*time.Millisecond {
		t.Errorf("the one that ends at once took %v", took)
	}
	w.await("the slow one is gone", func() bool { return len(w.tasks("slow")) == 0 })
	if took := time.Since(began); took < 1500*time.Millisecond || took > 6*time.Second {
		t.Errorf("the slow one took %v, want 1.5 s", took)
	}
	contains(t, "followed log", (<-follow).out, "hello: stopping on user defined signal 1\nhello: stopped\n")
	if left := w.host.Orphans(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
