//go:build e2e

package node

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	v1 "warren.io/warren/apis/v1"
)

// insideProgram builds what the tests run in tasks.
func insideProgram(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "inside")
	cmd := exec.Command("go", "build", "-o", out, "./testdata/inside")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, text)
	}
	return out
}

// furnished is a running task with the test program at /inside.
func (w *world) furnished(name, spec string) *v1.Task {
	w.t.Helper()
	w.apply(service(name, image+spec), "--wait")
	task := w.one(name, "runs", ready)
	w.ctl("cp", insideProgram(w.t), task.Metadata.Name+":/inside")
	return task
}

func TestExec(t *testing.T) {
	w := running(t)
	task := w.furnished("web", "user: \"1000:1001\"\nworkingDir: /home\nenv: {GREETING: hi}")
	name := task.Metadata.Name

	t.Run("confined as the task", func(t *testing.T) {
		var own, got map[string]any
		if err := json.Unmarshal([]byte(w.ctl("exec", name, "--", "/inside", "about")), &got); err != nil {
			t.Fatal(err)
		}
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", task.Status.PID))
		own = map[string]any{}
		for line := range strings.Lines(string(status)) {
			k, v, _ := strings.Cut(line, ":")
			own[k] = strings.TrimSpace(v)
		}
		for _, k := range []string{"CapEff", "CapBnd", "Seccomp", "NoNewPrivs"} {
			if got[k] != own[k] {
				t.Errorf("%s is %v, the task's is %v", k, got[k], own[k])
			}
		}
		if got["uid"] != 1000.0 || got["gid"] != 1001.0 || got["dir"] != "/home" || got["tty"] != false || own["Seccomp"] != "2" {
			t.Errorf("got %v", got)
		}
		contains(t, "environment", fmt.Sprint(got["env"]), "GREETING=hi", "WARREN_TASK="+name, "WARREN_NODE=n1", "PATH=")
	})
	t.Run("streams and codes", func(t *testing.T) {
		big := strings.Repeat("0123456789abcde\n", 200_000)
		r := w.run(big, warrenctl, "exec", "-i", name, "--", "/inside", "cat")
		if r.code != 0 || r.out != big || r.err != "end of input\n" {
			t.Errorf("cat of %d bytes: code %d, %d bytes back, %q", len(big), r.code, len(r.out), r.err)
		}
		if r := w.run("ignored", warrenctl, "exec", "service/web", "--", "/inside", "cat"); r.out != "" || r.code != 0 {
			t.Errorf("without -i: %+v", r)
		}
		for _, code := range []int{0, 3, 255} {
			if r := w.try("exec", "web", "--", "/inside", "exit", fmt.Sprint(code)); r.code != code || r.err != "" {
				t.Errorf("exit %d: %+v", code, r)
			}
		}
	})
	t.Run("errors", func(t *testing.T) {
		r := w.try("exec", name, "--", "/nothing")
		if want := fmt.Sprintf("warrenctl: exec in %s: command not found: \"/nothing\": no such file or directory\n", name); r.code != 127 || r.err != want {
			t.Errorf("no command: %+v", r)
		}
		if r := w.try("exec", name, "--", "nothing"); r.code != 127 || !strings.Contains(r.err, "command not found: \"nothing\"") {
			t.Errorf("no command in PATH: %+v", r)
		}
		if r := w.try("exec", "none", "--", "/inside"); r.code != 1 || r.err != "warrenctl: task \"none\": not found\ntry: warrenctl get tasks\n" {
			t.Errorf("no task: %+v", r)
		}
		w.apply(service("once", image+"args: [-exit, \"0\"]\nrestart: {policy: Never}"))
		over := w.one("once", "is over", func(t *v1.Task) bool { return t.Status.Phase == v1.TaskComplete })
		if r := w.try("exec", over.Metadata.Name, "--", "/hello"); r.code != 1 || !strings.Contains(r.err, "does not run; it is ") {
			t.Errorf("task that is over: %+v", r)
		}
	})
	t.Run("terminal", func(t *testing.T) { terminal(w, name) })
	t.Run("signals", func(t *testing.T) { forwarded(w, name) })
	t.Run("nothing is left", func(t *testing.T) { nothingLeft(w, task) })
	t.Run("task ends", func(t *testing.T) { taskEnds(w) })
	t.Run("killed node", func(t *testing.T) { killedNode(w, task) })
}

// pty makes a terminal of a size; the second file is what a program gets.
func pty(t *testing.T, width, height uint16) (*os.File, *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	n, err := unix.IoctlGetUint32(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	resize(t, master, width, height)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

func resize(t *testing.T, f *os.File, width, height uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(f.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height}); err != nil {
		t.Fatal(err)
	}
}

// session is a warrenctl whose output is watched.
type session struct {
	w     *world
	cmd   *exec.Cmd
	lines chan string
}

func (w *world) session(cmd *exec.Cmd, out io.Reader) *session {
	s := &session{w: w, cmd: cmd, lines: make(chan string, 1000)}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(s.lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			s.lines <- strings.TrimRight(in.Text(), "\r")
		}
	}()
	return s
}

func (s *session) expect(line string) {
	s.w.t.Helper()
	for limit := time.After(patience); ; {
		select {
		case got, ok := <-s.lines:
			if got == line {
				return
			}
			if !ok {
				s.w.t.Fatalf("output ended before %q", line)
			}
		case <-limit:
			s.w.t.Fatalf("no line %q", line)
		}
	}
}

func (s *session) code() int {
	_ = s.cmd.Wait()
	return s.cmd.ProcessState.ExitCode()
}

// terminal proves raw keys, the first size, new sizes and the exit code.
func terminal(w *world, task string) {
	master, slave := pty(w.t, 91, 33)
	cmd := w.host.Command(context.Background(), warrenctl, "exec", "-it", task, "--", "/inside", "sizes")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.Env = append(os.Environ(), "TERM=vt100", "WARREN_SERVER=unix://"+w.socketPath())
	s := w.session(cmd, master)
	_ = slave.Close()
	s.expect("size 91x33")
	resize(w.t, master, 120, 40)
	_ = cmd.Process.Signal(syscall.SIGWINCH) // comes by itself only to the terminal's own session
	s.expect("size 120x40")
	_, _ = master.Write([]byte("q\r"))
	s.expect("bye")
	if code := s.code(); code != 7 {
		w.t.Errorf("exit code %d, want 7", code)
	}
}

func forwarded(w *world, task string) {
	cmd := w.host.Command(context.Background(), warrenctl, "exec", task, "--", "/inside", "signals")
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	s := w.session(cmd, out)
	s.expect("waiting")
	for _, x := range []struct {
		signal syscall.Signal
		line   string
	}{{syscall.SIGINT, "got interrupt"}, {syscall.SIGUSR1, "got user defined signal 1"}, {syscall.SIGHUP, "got hangup"}, {syscall.SIGTERM, "got terminated"}} {
		_ = cmd.Process.Signal(x.signal)
		s.expect(x.line)
	}
	if code := s.code(); code != 9 {
		w.t.Errorf("exit code %d, want 9", code)
	}
}

// traces are what commands could leave: processes in the task, pipes, folders, goroutines and open files of the node.
type traces struct {
	processes []string
	files     []string
	open      int
}

func (w *world) traces(task *v1.Task) (x traces) {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", task.Status.PID))
	all, _ := filepath.Glob("/proc/[0-9]*/cgroup")
	for _, file := range all {
		if other, err := os.ReadFile(file); err == nil && bytes.Equal(other, data) {
			line, _ := os.ReadFile(filepath.Dir(file) + "/cmdline")
			x.processes = append(x.processes, string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	slices.Sort(x.processes)
	_ = filepath.WalkDir(filepath.Join(w.host.RunDir, "exec"), func(p string, e fs.DirEntry, err error) error {
		if err == nil && !strings.HasSuffix(p, "/exec") {
			x.files = append(x.files, p)
		}
		return nil
	})
	open, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", w.cmd.Process.Pid))
	x.open = len(open)
	return x
}

// goroutines of the node, from its metrics.
func (w *world) goroutines() int {
	n := 0
	for line := range strings.Lines(w.api("/metrics").body) {
		_, _ = fmt.Sscanf(line, "go_goroutines %d", &n)
	}
	return n
}

func nothingLeft(w *world, task *v1.Task) {
	name := task.Metadata.Name
	w.ctl("exec", name, "--", "/inside", "exit", "0") // what is made once is made
	before, routines := w.traces(task), w.goroutines()
	begin := time.Now()
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			if r := w.try("exec", name, "--", "/inside", "exit", fmt.Sprint(i)); r.code != i {
				w.t.Errorf("exit %d: %+v", i, r)
			}
		})
	}
	all.Wait()
	w.t.Logf("100 commands in parallel took %v", time.Since(begin))

	// One that leaves a child with its output, and two whose caller is killed.
	if r := w.try("exec", name, "--", "/inside", "parent"); r.code != 0 || r.out != "child\n" {
		w.t.Errorf("a child that is left: %+v", r)
	}
	for _, args := range [][]string{{"parent", "wait"}, {"flood"}} {
		cmd := w.host.Command(context.Background(), warrenctl, append([]string{"exec", name, "--", "/inside"}, args...)...)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := io.ReadFull(out, make([]byte, 5)); err != nil {
			w.t.Fatal(err)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	var now traces
	w.await("nothing is left of commands", func() bool {
		now = w.traces(task)
		return slices.Equal(now.processes, before.processes) && len(now.files) == 0 && now.open <= before.open+3 && w.goroutines() <= routines+5
	})
	w.t.Logf("open files %d before, %d after; goroutines %d and %d", before.open, now.open, routines, w.goroutines())
}

// killedNode: a node that comes back ends the commands of which nobody reads the output any more.
func killedNode(w *world, task *v1.Task) {
	cmd := w.host.Command(context.Background(), warrenctl, "exec", task.Metadata.Name, "--", "/inside", "parent", "wait")
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	before := w.traces(task)
	s := w.session(cmd, out)
	s.expect("child")
	_ = w.cmd.Process.Kill()
	<-w.ended
	if code := s.code(); code != 1 {
		w.t.Errorf("exec ended with %d when the node was killed", code)
	}
	w.start()
	w.ready()
	var now traces
	w.await("nothing is left of the command", func() bool {
		now = w.traces(task)
		return slices.Equal(now.processes, before.processes) && len(now.files) == 0
	})
	if !slices.ContainsFunc(now.processes, func(p string) bool { return strings.Contains(p, "hello") }) {
		w.t.Errorf("the task is gone: %v", now.processes)
	}
	if r := w.try("exec", task.Metadata.Name, "--", "/inside", "exit", "4"); r.code != 4 {
		w.t.Errorf("exec after it: %+v", r)
	}
}

// taskEnds: a command ends with its task, and says so.
func taskEnds(w *world) {
	name := w.furnished("short", "").Metadata.Name
	cmd := w.host.Command(context.Background(), warrenctl, "exec", name, "--", "/inside", "parent", "wait")
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	s := w.session(cmd, out)
	s.expect("child")
	w.ctl("delete", "service/short")
	code := s.code()
	if code != 137 && (code != 1 || !strings.Contains(errs.String(), "not running") && !strings.Contains(errs.String(), "does not run")) {
		w.t.Errorf("code %d, %s", code, errs.String())
	}
	w.await("nothing is left of the task", func() bool {
		_, err := os.Stat(filepath.Join(w.host.RunDir, "exec", name))
		return os.IsNotExist(err) && len(w.tasks("short")) == 0
	})
}
