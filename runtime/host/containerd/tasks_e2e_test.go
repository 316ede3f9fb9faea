//go:build e2e

package containerd

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/host"
)

func TestRunsExitsAndIsRemoved(t *testing.T) {
	w := newWorld(t)
	w.set(task("a", "exit", "3"), task("b", "sleep"))
	s := w.awaitPhase("a", host.Exited)
	if s.ExitCode != 3 || s.Reason != host.ReasonExited || s.ImageDigest == "" || s.ExitedAt.IsZero() || s.StartedAt.IsZero() {
		t.Errorf("exited: %+v", s)
	}
	b := w.awaitPhase("b", host.Running)
	if err := syscall.Kill(b.PID, 0); err != nil || !b.Address.IsValid() || time.Since(b.StartedAt) > time.Minute {
		t.Errorf("running: %+v %v", b, err)
	}
	if got := w.log("a"); len(got) != 1 || got[0].Text != "bye" || got[0].Stream != "stdout" {
		t.Errorf("log: %+v", got)
	}
	w.set()
	w.awaitNone()
	if err := w.host.Read(t.Context(), "a", host.LogOptions{}, nil); err == nil {
		t.Error("the log of a removed task can still be read")
	}
	w.assertClean()
}

func TestNextAttempt(t *testing.T) {
	w := newWorld(t)
	a := task("a", "exit", "1")
	w.set(a)
	first := w.awaitPhase("a", host.Exited)
	a.Attempt, a.Failures, a.Template.Args = 2, 1, []string{"exit", "2"}
	w.set(a)
	w.await("second exit", func(s []host.State) bool {
		return s[0].Attempt == 2 && s[0].Failures == 1 && s[0].Phase == host.Exited && s[0].ExitCode == 2 && s[0].Address == first.Address
	})
	if got := w.log("a"); len(got) != 2 {
		t.Errorf("log of both attempts: %+v", got)
	}
}

func TestOutOfMemory(t *testing.T) {
	w := newWorld(t)
	a := task("a", "oom")
	a.Template.Resources.Limits.Memory = 32 << 20
	w.set(a)
	s := w.awaitPhase("a", host.Exited)
	if s.ExitCode != 137 || !s.OOMKilled || s.Reason != host.ReasonOOMKilled {
		t.Errorf("%+v", s)
	}
}

func TestStopSignalAndGrace(t *testing.T) {
	w := newWorld(t)
	polite, deaf := task("polite", "trap", "0"), task("deaf", "ignore")
	polite.Template.StopSignal = "SIGUSR1"
	deaf.Template.StopGracePeriod = new(meta.Duration(300 * time.Millisecond))
	w.set(polite, deaf)
	w.awaitPhase("polite", host.Running)
	w.awaitPhase("deaf", host.Running)
	w.await("both are ready", func([]host.State) bool { return len(w.log("polite")) > 0 && len(w.log("deaf")) > 0 })
	var last []string
	follow := make(chan struct{})
	go func() {
		defer close(follow)
		_ = w.host.Read(t.Context(), "polite", host.LogOptions{Follow: true, Tail: -1}, func(l host.LogLine) error {
			last = append(last, l.Text)
			return nil
		})
	}()
	began := time.Now()
	w.set()
	w.awaitNone()
	if d := time.Since(began); d < 300*time.Millisecond || d > 5*time.Second {
		t.Errorf("stopping took %v", d)
	}
	<-follow
	if strings.Join(last, ",") != "ready,got user defined signal 1" {
		t.Errorf("followed: %q", last)
	}
}

func TestKilledProcess(t *testing.T) {
	w := newWorld(t)
	w.set(task("a", "sleep"))
	s := w.awaitPhase("a", host.Running)
	if err := syscall.Kill(s.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if s := w.awaitPhase("a", host.Exited); s.ExitCode != 137 || s.OOMKilled || s.Reason != host.ReasonExited {
		t.Errorf("%+v", s)
	}
}

func TestCannotRun(t *testing.T) {
	w := newWorld(t)
	missing, nobody, dir := task("missing"), task("nobody", "sleep"), task("dir", "sleep")
	missing.Template.Command = []string{"/nothing/here"}
	nobody.Template.User = "nobody-knows"
	dir.Template.WorkingDir = "relative"
	w.set(missing, nobody, dir)
	for _, name := range []string{"missing", "nobody", "dir"} {
		if s := w.awaitPhase(name, host.Rejected); s.Reason != host.ReasonInvalidSpec || s.Message == "" {
			t.Errorf("%+v", s)
		}
	}
	w.set()
	w.awaitNone()
	w.assertClean()
}

// assertClean: no task left anything on the machine.
func (w *world) assertClean() {
	w.t.Helper()
	for _, kind := range w.host.orphanKinds() {
		names, err := kind.list(w.host.ctx)
		if kind.name == "programs" {
			continue
		}
		// The host's own look for garbage makes and removes one of this name.
		names = slices.DeleteFunc(names, func(n string) bool { return n == snapshotPrefix+"nothing" })
		if err != nil || len(names) > 0 {
			w.t.Errorf("left: %s %v %v", kind.name, names, err)
		}
	}
}
