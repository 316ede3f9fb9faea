package containerd

import (
	"io"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
)

// streams connects the command with its caller.
func (e *execution) streams() []cio.Opt {
	var in io.Reader
	if e.command.Stdin != nil {
		in = &ending{e.command.Stdin, e.closeInput}
	}
	out, errs := e.output.writer(e.command.Stdout), e.output.writer(e.command.Stderr)
	opts := []cio.Opt{cio.WithStreams(in, out, errs), cio.WithFIFODir(e.dir)}
	if e.command.TTY {
		opts = append(opts, cio.WithTerminal)
	}
	return opts
}

// ending tells when it has come to its end.
type ending struct {
	io.Reader
	end func()
}

// Read implements io.Reader.
func (i *ending) Read(b []byte) (int, error) {
	n, err := i.Reader.Read(b)
	if err != nil && n == 0 {
		i.end()
	}
	return n, err
}

// closeInput lets the shim give up its own end of the pipe, or the command would never see the end.
func (e *execution) closeInput() {
	select {
	case <-e.started:
	case <-time.After(startLimit):
		return
	}
	ctx, cancel := e.step()
	defer cancel()
	_ = e.process.CloseIO(ctx, client.WithStdinCloser) // fails if the command has ended
}

// drain waits for the end of the output. A reader that is slow is waited for, a pipe in which nothing happens is not.
func (e *execution) drain() {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		e.process.IO().Wait()
	}()
	e.output.mark(0)
	tick := time.NewTicker(quiet / 10)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
			if e.output.idle() > quiet {
				e.process.IO().Cancel()
				return
			}
		}
	}
}

// activity knows when something was last written, and whether a write is under way.
type activity struct {
	mu      sync.Mutex
	writing int
	last    time.Time
}

func (a *activity) writer(to io.Writer) io.Writer {
	if to == nil {
		to = io.Discard
	}
	return &activeWriter{Writer: to, activity: a}
}

// idle is for how long nothing was written.
func (a *activity) idle() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.writing > 0 {
		return 0
	}
	return time.Since(a.last)
}

func (a *activity) mark(change int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.writing += change
	a.last = time.Now()
}

// activeWriter goes on without its writer when that fails: the pipe has to be read to its end all the same, or the shim
// waits for it.
type activeWriter struct {
	io.Writer
	*activity
	failed bool
}

// Write implements io.Writer.
func (w *activeWriter) Write(b []byte) (int, error) {
	w.mark(1)
	defer w.mark(-1)
	if !w.failed {
		_, err := w.Writer.Write(b)
		w.failed = err != nil
	}
	return len(b), nil
}
