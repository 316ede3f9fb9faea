//go:build e2e

package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/e2e/hosts"
)

// dirFlags say which node.
func (w *world) dirFlags() []string {
	return []string{"--data-dir", w.host.DataDir, "--run-dir", w.host.RunDir}
}

// TestEndsLeaveTasksRunning: SIGTERM, warren stop and kill -9 end warren and nothing else.
func TestEndsLeaveTasksRunning(t *testing.T) {
	t.Parallel()
	w := running(t)
	w.apply(service("web", image+"replicas: 2"), "--wait")
	kept := w.tasks("web")
	for name, end := range map[string]func(){
		"SIGTERM": w.terminate,
		"warren stop": func() {
			if r := w.run("", warren, append([]string{"stop"}, w.dirFlags()...)...); r.code != 0 || r.out != "" {
				t.Errorf("warren stop: %+v", r)
			}
			select {
			case <-w.ended: // at once: stop has waited for it
			default:
				w.awaitEnd()
			}
		},
		"kill -9": func() {
			if err := w.host.Kill(hosts.Warren); err != nil {
				t.Fatal(err)
			}
			<-w.ended
		},
	} {
		end()
		if a := w.readyz(); a.code != 0 {
			t.Errorf("after %s somebody answers: %+v", name, a)
		}
		for _, task := range kept {
			w.alive(task)
		}
		w.start()
		w.ready()
		for i, task := range w.current("web") {
			if task.Status.PID != kept[i].Status.PID || task.Status.Restarts != 0 || !ready(task) {
				t.Errorf("after %s: %s is %+v", name, task.Metadata.Name, task.Status)
			}
		}
	}
	if r := w.run("", warren, "stop", "--run-dir", t.TempDir()); r.code != 1 || !strings.HasPrefix(r.err, "warren: ") {
		t.Errorf("stop of none: %+v", r)
	}
	twice := w.run("", warren, append([]string{"run"}, w.dirFlags()...)...)
	if twice.code != 1 || !strings.Contains(twice.err, "another warren is using it") {
		t.Errorf("a second warren: %+v", twice)
	}
	w.ready()
}

func TestStopTasks(t *testing.T) {
	t.Parallel()
	w := running(t)
	w.apply(service("web", image+"replicas: 2"), "--wait")
	before := w.tasks("web")
	if r := w.run("", warren, append([]string{"stop", "--tasks"}, w.dirFlags()...)...); r.code != 0 {
		t.Fatalf("warren stop --tasks: %+v", r)
	}
	w.awaitEnd()
	processes, err := w.host.Processes()
	if err != nil || len(processes) > 0 {
		t.Errorf("processes are left: %+v %v", processes, err)
	}
	w.start()
	w.await("they start again", func() bool { return w.service("web").Status.Ready == 2 && len(w.tasks("web")) == 2 })
	names := map[string]bool{}
	for _, task := range w.current("web") {
		names[task.Metadata.Name] = true
		w.visit(task)
	}
	if !names[before[0].Metadata.Name] || !names[before[1].Metadata.Name] {
		t.Errorf("they were replaced: %v", names)
	}
}

func TestReset(t *testing.T) {
	t.Parallel()
	w := running(t)
	w.apply(service("web", image+"replicas: 2"), "--wait")
	kept := w.tasks("web")
	reset := append([]string{"reset"}, w.dirFlags()...)
	if r := w.run("", warren, append(reset, "--yes")...); r.code != 1 || !strings.Contains(r.err, "warren is running with") || !strings.Contains(r.err, "try: warren stop") {
		t.Errorf("reset of a node that runs: %+v", r)
	}
	w.terminate()
	for _, answer := range []string{"", "no\n", "y\n"} {
		r := w.run(answer, warren, reset...)
		if r.code != 1 || !strings.Contains(r.err, "Type yes to go on") || !strings.Contains(r.err, "nothing was removed") {
			t.Errorf("reset after %q: %+v", answer, r)
		}
	}
	for _, task := range kept {
		w.alive(task)
	}
	if r := w.run("yes\n", warren, reset...); r.code != 0 {
		t.Fatalf("reset: %+v", r)
	}
	if left := w.host.Orphans(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	processes, err := w.host.Processes()
	if err != nil || len(processes) > 0 {
		t.Errorf("processes are left: %+v %v", processes, err)
	}
	for _, dir := range []string{w.host.DataDir, w.host.RunDir} {
		if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
			t.Errorf("%s still holds %v", dir, entries)
		}
	}
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/warren-" + w.host.Instance)
	more, _ := filepath.Glob("/sys/fs/cgroup/warren-" + w.host.Instance)
	if groups = append(groups, more...); len(groups) > 0 {
		t.Errorf("control groups are left: %q", groups)
	}
	if r := w.run("", "ip", "-o", "link"); strings.Contains(r.out, "warren") || strings.Contains(r.out, "wv") {
		t.Errorf("links are left: %s", r.out)
	}
	if r := w.run("", "nft", "list", "ruleset"); r.code == 0 && strings.Contains(r.out, "warren") {
		t.Errorf("rules are left: %s", r.out)
	}
	if r := w.run("", warren, append(reset, "--yes")...); r.code != 1 || !strings.Contains(r.err, "there is no node in") {
		t.Errorf("a second reset: %+v", r)
	}

	// The machine is as good as new.
	w.start()
	w.ready()
	if n := len(w.list("services")); n != 0 {
		t.Errorf("%d services came back", n)
	}
	w.ctl("image", "import", helloTar)
	w.apply(service("web", image), "--wait")
}

// TestReboot: after power off and on the same tasks start again in their places.
func TestReboot(t *testing.T) {
	t.Parallel()
	w := running(t)
	w.apply(service("web", image+"replicas: 2") + service("once", image+"args: [-exit, \"0\"]\nrestart: {policy: OnFailure}"))
	w.await("two run", func() bool { return w.service("web").Status.Ready == 2 })
	w.one("once", "is complete", phase(v1.TaskComplete))
	before := w.tasks("web")
	if err := w.host.Reboot(); err != nil {
		t.Fatal(err)
	}
	<-w.ended
	w.start()
	w.ready()
	w.await("they run again", func() bool {
		all := w.tasks("web")
		return w.service("web").Status.Ready == 2 && all[0].Status.Restarts+all[1].Status.Restarts == 2
	})
	for i, task := range w.current("web") {
		old := before[i]
		if task.Metadata.Name != old.Metadata.Name || task.Status.Address != old.Status.Address || task.Status.Failures != 0 {
			t.Errorf("%s at %s became %s at %s, failures %d", old.Metadata.Name, old.Status.Address, task.Metadata.Name, task.Status.Address, task.Status.Failures)
		}
		w.alive(task)
	}
	if done := w.one("once", "stays complete", phase(v1.TaskComplete)); done.Status.Restarts != 0 {
		t.Errorf("what was complete was started again: %+v", done.Status)
	}
	if left := w.host.Orphans(t, before[0].Metadata.Name, before[1].Metadata.Name); len(left) > 0 {
		for _, l := range left {
			if !strings.Contains(l, "once-1-1") { // what is left of it stays until it is deleted, to be looked at
				t.Errorf("left: %s", l)
			}
		}
	}
}
