package main

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	runc "github.com/containerd/go-runc"

	"warren.io/warren/runtime/host/containerd/tasklog"
)

const scheme = "warrenlog://"

// drainLimit bounds how long the end of a task waits for its last lines, for the case that somebody else holds the pipe.
const drainLimit = 5 * time.Second

// output carries what the task writes into its log: the task writes into pipes, whose other ends this process reads.
// There is no process and no copy in between.
type output struct {
	mu      sync.Mutex
	pending *pipes // made for the runc create that comes next
	done    sync.WaitGroup
	drained chan struct{} // closed when all was read; nil without a log
}

type pipes struct{ outR, outW, errR, errW *os.File }

func isLog(uri string) bool { return strings.HasPrefix(uri, scheme) }

// prepare opens the log that uri names and begins to read.
func (o *output) prepare(uri string) error {
	u, err := url.Parse(uri)
	if err != nil {
		return fmt.Errorf("read log address: %w", err)
	}
	p, err := newPipes()
	if err != nil {
		return err
	}
	limit, _ := strconv.ParseInt(u.Query().Get("max"), 10, 64) // zero: the default
	keep, _ := strconv.Atoi(u.Query().Get("keep"))
	log := tasklog.New(u.Path, limit, keep)
	drained := make(chan struct{})
	o.mu.Lock()
	o.pending, o.drained = p, drained
	o.mu.Unlock()
	o.done.Go(func() { log.Copy("stdout", p.outR); _ = p.outR.Close() })
	o.done.Go(func() { log.Copy("stderr", p.errR); _ = p.errR.Close() })
	go func() {
		o.done.Wait()
		log.Close()
		close(drained)
	}()
	return nil
}

func newPipes() (*pipes, error) {
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make output pipe: %w", err)
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		_, _ = outR.Close(), outW.Close()
		return nil, fmt.Errorf("make output pipe: %w", err)
	}
	return &pipes{outR, outW, errR, errW}, nil
}

// started gives up our copies of the writing ends, so that reading ends when the last process of the task does.
func (o *output) started() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pending != nil {
		_, _ = o.pending.outW.Close(), o.pending.errW.Close()
	}
	o.pending = nil
}

// drain waits until everything that the task wrote is in the log.
func (o *output) drain() {
	o.mu.Lock()
	drained := o.drained
	o.mu.Unlock()
	if drained == nil {
		return
	}
	select {
	case <-drained:
	case <-time.After(drainLimit):
	}
}

// intercept puts our pipes in the place of runc's output when it creates the task. The library that runs runc has no other
// way to hand in files; its own ways copy everything once more.
func (o *output) intercept() { runc.Monitor = &monitor{runc.Monitor, o} }

type monitor struct {
	runc.ProcessMonitor
	out *output
}

func (m *monitor) Start(c *exec.Cmd) (chan runc.Exit, error) {
	m.out.attach(c)
	return m.ProcessMonitor.Start(c)
}

func (m *monitor) StartLocked(c *exec.Cmd) (chan runc.Exit, error) {
	m.out.attach(c)
	return m.ProcessMonitor.StartLocked(c)
}

// attach: while a create is pending, the only runc that this process starts is that create.
func (o *output) attach(c *exec.Cmd) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pending != nil {
		c.Stdout, c.Stderr = o.pending.outW, o.pending.errW
	}
}
