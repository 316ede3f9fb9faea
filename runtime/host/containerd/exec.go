package containerd

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/moby/sys/signal"
	"github.com/opencontainers/runtime-spec/specs-go"

	"warren.io/warren/runtime/host"
)

var _ host.Inside = (*Host)(nil)

const (
	// startLimit bounds the start of a command and each step of its end.
	startLimit = 30 * time.Second
	// quiet is how long nothing may come from a command that has ended until its output counts as complete, though a
	// process that it left holds it open.
	quiet = time.Second
)

// Exec runs a command in a task and returns its exit code. What the command started and left is ended with it, unless it
// made a session of its own.
func (h *Host) Exec(ctx context.Context, task string, c host.Command) (int, error) {
	code, err := h.exec(ctx, task, c)
	if err != nil {
		return 0, fmt.Errorf("exec in %s: %w", task, err)
	}
	return code, nil
}

// inside returns the state of a task that runs.
func (h *Host) inside(task string) (host.State, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ready {
		return host.State{}, host.ErrNotReady
	}
	u := h.units[task]
	switch {
	case u == nil:
		return host.State{}, fmt.Errorf("task %w", host.ErrNotFound)
	case u.state.Phase != host.Running:
		return host.State{}, fmt.Errorf("%w; it is %s", host.ErrNotRunning, strings.ToLower(string(u.state.Phase)))
	}
	return u.state, nil
}

func (h *Host) exec(ctx context.Context, task string, c host.Command) (int, error) {
	if _, err := h.inside(task); err != nil {
		return 0, err
	}
	e := &execution{h: h, task: task, id: execID(), command: c, started: make(chan struct{})}
	e.dir = filepath.Join(h.paths.execs(task), e.id)
	if err := os.MkdirAll(e.dir, 0o700); err != nil {
		return 0, fmt.Errorf("make directory: %w", err)
	}
	defer e.forget()
	if err := e.start(ctx); err != nil {
		return 0, err
	}
	return e.await(ctx)
}

func execID() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b)
	return "exec-" + hex.EncodeToString(b)
}

// execution is one command in a task.
type execution struct {
	h        *Host
	task, id string
	dir      string // its pipes; as long as it is there, the command may be too
	command  host.Command
	process  client.Process
	ended    <-chan client.ExitStatus
	started  chan struct{} // closed when process is set and runs
	output   activity
	kept     bool // dir is needed by somebody else still
}

// step is a context for one step: it does not end half-way because the caller has gone.
func (e *execution) step() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(e.h.ctx), startLimit)
}

// start makes and starts the process. After an error nothing is left of it.
func (e *execution) start(ctx context.Context) error {
	select {
	case e.h.creating <- struct{}{}:
		defer func() { <-e.h.creating }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	step, cancel := e.step()
	defer cancel()
	container, err := e.h.client.LoadContainer(step, e.task)
	if err != nil {
		return fmt.Errorf("find container: %w", err)
	}
	spec, err := container.Spec(step)
	if err != nil {
		return fmt.Errorf("read specification: %w", err)
	}
	task, err := container.Task(step, nil)
	if err != nil {
		return fmt.Errorf("%w: %v", host.ErrNotRunning, err)
	}
	if e.process, err = task.Exec(step, e.id, execSpec(spec.Process, e.command), cio.NewCreator(e.streams()...)); err != nil {
		return fmt.Errorf("make process: %w", err)
	}
	if e.ended, err = e.process.Wait(e.h.ctx); err == nil {
		err = e.process.Start(step)
	}
	if err != nil {
		_, _ = e.process.Delete(step)
		return execError(err, e.command.Args[0])
	}
	close(e.started)
	if e.command.TTY && e.command.Size.Width > 0 {
		_ = e.process.Resize(step, e.command.Size.Width, e.command.Size.Height)
	}
	return nil
}

// execSpec is the task's own process with another command: user, directory, environment, capabilities and limits stay.
// The seccomp profile is the container's and holds for all its processes.
func execSpec(own *specs.Process, c host.Command) *specs.Process {
	p := *own
	p.Args, p.Terminal, p.CommandLine, p.ConsoleSize = c.Args, c.TTY, "", nil
	if c.TTY {
		term := c.Term
		if term == "" {
			term = "xterm"
		}
		p.Env = merge(append([]string(nil), own.Env...), "TERM="+term)
		if c.Size.Width > 0 {
			p.ConsoleSize = &specs.Box{Width: uint(c.Size.Width), Height: uint(c.Size.Height)}
		}
	}
	return &p
}

// execError tells a command that is not there from other failures.
func execError(err error, command string) error {
	text := err.Error()
	for _, cause := range []string{
		"executable file not found in $PATH", "no such file or directory", "permission denied", "is a directory", "exec format error",
	} {
		if strings.Contains(text, "exec: ") && strings.HasSuffix(text, cause) || strings.HasSuffix(text, "exec format error") {
			return fmt.Errorf("%w: %q: %s", host.ErrNoCommand, command, cause)
		}
	}
	if strings.Contains(text, "not running") || strings.Contains(text, "stopped state") {
		return host.ErrNotRunning
	}
	_, short, found := strings.Cut(text, "exec failed: ")
	if found {
		text = short
	}
	return fmt.Errorf("start process: %s", text)
}

// await passes events on until the command has ended, or kills it when ctx ends, and waits for the last of its output.
func (e *execution) await(ctx context.Context) (int, error) {
	defer e.delete()
	done := ctx.Done()
	for {
		select {
		case s := <-e.ended:
			e.killSession()
			e.drain()
			if s.Error() != nil {
				return 0, fmt.Errorf("%w any more: %v", host.ErrNotRunning, s.Error())
			}
			if ctx.Err() != nil {
				return 0, context.Cause(ctx)
			}
			return int(s.ExitCode()), nil
		case x, ok := <-e.command.Events:
			if !ok {
				e.command.Events = nil
				continue
			}
			e.event(x)
		case <-done:
			done = nil
			e.killSession()
			e.kill(syscall.SIGKILL)
		}
	}
}

func (e *execution) event(x host.CommandEvent) {
	ctx, cancel := e.step()
	defer cancel()
	if x.Signal == "" {
		_ = e.process.Resize(ctx, x.Size.Width, x.Size.Height)
		return
	}
	if s, err := signal.ParseSignal(x.Signal); err == nil {
		e.kill(s)
	}
}

// kill fails only for a process that has ended.
func (e *execution) kill(s syscall.Signal) {
	ctx, cancel := e.step()
	defer cancel()
	_ = e.process.Kill(ctx, s)
}

// killSession ends what the command started: runc makes each command the leader of a session.
func (e *execution) killSession() {
	killSession(cgroupPath(e.h.cfg.Instance, e.task), int(e.process.Pid()))
}

func killSession(cgroup string, leader int) {
	pids, err := cgroupPids(cgroup)
	if err != nil || leader <= 0 {
		return
	}
	for _, pid := range pids {
		if f := statFields(pid); len(f) > 3 && f[3] == fmt.Sprint(leader) && pid != leader {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// delete removes what containerd knows of the process. That takes long if somebody still holds the output open, which is
// no reason to let the caller wait.
func (e *execution) delete() {
	deleted := make(chan struct{})
	e.kept = true
	go func() {
		defer close(deleted)
		ctx, cancel := e.step()
		defer cancel()
		if _, err := e.process.Delete(ctx); err != nil {
			e.process.IO().Cancel()
			_ = e.process.IO().Close()
		}
		_ = os.RemoveAll(e.dir)
		_ = os.Remove(filepath.Dir(e.dir)) // if it was the last one
	}()
	select {
	case <-deleted:
	case <-time.After(2 * quiet):
	}
}

// forget removes the pipes, unless delete does.
func (e *execution) forget() {
	if !e.kept {
		_ = os.RemoveAll(e.dir)
		_ = os.Remove(filepath.Dir(e.dir))
	}
}
