package grpcstore

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/server/api"
)

var _ host.Inside = (*Conn)(nil)

// Exec runs a command in a task, like host.Inside.
func (c *Conn) Exec(ctx context.Context, task string, cmd host.Command) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.api.Exec(ctx)
	if err != nil {
		return 0, c.explain(ctx, err)
	}
	e := &executing{stream: stream, window: newWindow(api.Window)}
	defer e.window.close()
	// An error of Send is only io.EOF; what it was about comes with the answer.
	_ = e.send(&api.ExecRequest{Start: &api.ExecStart{
		Task: task, Args: cmd.Args, Stdin: cmd.Stdin != nil, Tty: cmd.TTY, Size: api.ToSize(cmd.Size), Term: cmd.Term,
	}})
	if cmd.Stdin != nil {
		go e.input(cmd.Stdin)
	}
	go e.pass(ctx, cmd.Events)
	code, err := e.output(cmd)
	var local *localError
	switch {
	case errors.As(err, &local):
		return 0, local.error
	case err != nil:
		return 0, c.explain(ctx, err)
	}
	return code, nil
}

// localError is one of this side: output that cannot be written.
type localError struct{ error }

// executing is one command from the side of the one who wants it.
type executing struct {
	stream grpc.BidiStreamingClient[api.ExecRequest, api.ExecResponse]
	sends  sync.Mutex
	window *window
}

func (e *executing) send(m *api.ExecRequest) error {
	e.sends.Lock()
	defer e.sends.Unlock()
	return e.stream.Send(m)
}

// input sends what from has, as far as the other side takes it.
func (e *executing) input(from io.Reader) {
	buf := make([]byte, api.Piece)
	for {
		n, err := from.Read(buf)
		for rest := buf[:n]; len(rest) > 0; {
			room := e.window.take(len(rest))
			if room == 0 || e.send(&api.ExecRequest{Stdin: rest[:room]}) != nil {
				return
			}
			rest = rest[room:]
		}
		if err != nil {
			_ = e.send(&api.ExecRequest{Eof: true})
			return
		}
	}
}

// pass sends sizes and signals.
func (e *executing) pass(ctx context.Context, events <-chan host.CommandEvent) {
	for {
		select {
		case <-ctx.Done():
			return
		case x, ok := <-events:
			m := &api.ExecRequest{Signal: x.Signal}
			if x.Signal == "" {
				m.Size = api.ToSize(x.Size)
			}
			if !ok || e.send(m) != nil {
				return
			}
		}
	}
}

// output writes what the command writes, until it has ended.
func (e *executing) output(cmd host.Command) (int, error) {
	for {
		m, err := e.stream.Recv()
		if err != nil {
			return 0, err
		}
		if err := errors.Join(write(cmd.Stdout, m.GetStdout()), write(cmd.Stderr, m.GetStderr())); err != nil {
			return 0, &localError{err}
		}
		e.window.give(int(m.GetTaken()))
		if m.GetExited() {
			return int(m.GetCode()), nil
		}
	}
}

func write(to io.Writer, b []byte) error {
	if len(b) == 0 || to == nil {
		return nil
	}
	_, err := to.Write(b)
	return err
}

// window is how much may be sent before more is taken.
type window struct {
	mu     sync.Mutex
	change sync.Cond
	free   int
	closed bool
}

func newWindow(size int) *window {
	w := &window{free: size}
	w.change.L = &w.mu
	return w
}

// take waits for room and returns how much of want there is; 0 when it was closed.
func (w *window) take(want int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.free == 0 && !w.closed {
		w.change.Wait()
	}
	if w.closed {
		return 0
	}
	n := min(want, w.free)
	w.free -= n
	return n
}

func (w *window) give(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.free += n
	w.change.Broadcast()
}

func (w *window) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.change.Broadcast()
}
