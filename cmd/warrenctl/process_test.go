package warrenctl

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"warren.io/warren/runtime/server"
)

// process is warrenctl as a process of its own, as people start it.
func (n *live) process(line string) *exec.Cmd {
	n.t.Helper()
	dir := n.t.TempDir()
	self := fmt.Sprintf("#!/bin/sh\n%s=1 exec %s \"$@\"\n", asMain, os.Args[0])
	if err := os.WriteFile(filepath.Join(dir, "warrenctl"), []byte(self), 0o755); err != nil {
		n.t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", line)
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "WARREN_SERVER=unix://"+filepath.Join(n.dir, server.SocketName))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// Who reads only the beginning hears nothing of the rest.
func TestReaderThatGoesAway(t *testing.T) {
	n := newLive(t, someLogs{})
	for i := range 200 {
		n.put(svc(fmt.Sprintf("web-%d", i), 1, 1, 1, 1))
	}
	for _, verb := range []string{"get services", "get services -o yaml", "get services -o json", "schema", "help", "explain service -r", "completion bash", "describe services"} {
		cmd := n.process("warrenctl " + verb + " | head -1")
		var out, err bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &err
		if e := cmd.Run(); e != nil || err.Len() > 0 || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%s | head -1: %v %q %q", verb, e, &out, &err)
		}
	}
}

// A full disk is not silent: half an answer is a failure.
func TestOutputThatFails(t *testing.T) {
	n := newLive(t, nil)
	n.put(svc("web", 1, 1, 1, 1))
	out, err := n.process("warrenctl get services > /dev/full; echo $?").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "warrenctl: print: ") || !strings.HasSuffix(string(out), "no space left on device\n1\n") {
		t.Errorf("%q %v", out, err)
	}
}

// Ctrl-C ends it with 130 and without a word; so does what systemd and shells send.
func TestInterruption(t *testing.T) {
	n := newLive(t, nil)
	n.put(svc("web", 1, 1, 1, 1))
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		for _, verb := range []string{"get services -w", "wait service/web --for delete", "events -w"} {
			cmd := n.process("exec warrenctl " + verb)
			var out, errs text
			cmd.Stdout, cmd.Stderr = &out, &errs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			for end := time.Now().Add(soon); !strings.Contains(out.String(), "\n") && !strings.HasPrefix(verb, "wait") && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
			if strings.HasPrefix(verb, "wait") {
				awaitConnection(t, cmd.Process.Pid)
			}
			_ = cmd.Process.Signal(signal)
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != codeInterrupted || errs.String() != "" {
				t.Errorf("%s after %v: exit code %d, %q", verb, signal, code, &errs)
			}
		}
	}
}

// awaitConnection waits until a process has a socket: then it handles signals.
func awaitConnection(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(soon); time.Now().Before(end); time.Sleep(time.Millisecond) {
		entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		for _, e := range entries {
			to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, e.Name()))
			if strings.HasPrefix(to, "socket:") {
				return
			}
		}
	}
	t.Fatal("it does not connect")
}

// A mistake of warrenctl itself is one line, too.
func TestOwnMistake(t *testing.T) {
	n := newLive(t, nil)
	n.put(svc("web", 1, 1, 1, 1))
	var out, err bytes.Buffer
	p := &program{in: strings.NewReader(""), out: &out, err: &err, now: func() time.Time { panic("no\ntime") }, getenv: os.Getenv}
	code := p.main(t.Context(), []string{"--server", "unix://" + filepath.Join(n.dir, server.SocketName), "get", "services"})
	want := "warrenctl: mistake in this program, at process_test.go:"
	if lines := strings.Split(err.String(), "\n"); code != codeFailed || out.Len() > 0 || len(lines) != 3 || !strings.HasPrefix(lines[0], want) ||
		!strings.HasSuffix(lines[0], ": no time") || !strings.HasPrefix(lines[1], "try: ") {
		t.Errorf("%d %q %q", code, &out, &err)
	}
}
