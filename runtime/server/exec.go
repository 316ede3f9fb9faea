package server

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/server/api"
)

type execStream = grpc.BidiStreamingServer[api.ExecRequest, api.ExecResponse]

// Exec implements the API.
func (s service) Exec(stream execStream) error {
	if s.config.Inside == nil {
		return notServed("exec")
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	start := first.GetStart()
	if start.GetTask() == "" || len(start.GetArgs()) == 0 {
		return api.Invalid("exec: a task and a command are required")
	}
	ctx, done := s.open(stream.Context())
	defer done()
	e := &executing{stream: stream, events: make(chan host.CommandEvent, 16)}
	e.stdin = newInbox(api.Window, e.took)
	defer e.stdin.close(io.ErrClosedPipe)
	go e.receive(ctx)
	code, err := s.config.Inside.Exec(ctx, start.GetTask(), e.command(start))
	if s.stopping.Err() != nil && ctx.Err() != nil {
		return errStopping
	}
	if err != nil {
		return err
	}
	return e.send(&api.ExecResponse{Exited: true, Code: int32(code)})
}

// executing is one command and the stream that it belongs to.
type executing struct {
	stream execStream
	sends  sync.Mutex
	stdin  *inbox
	events chan host.CommandEvent
}

func (e *executing) command(start *api.ExecStart) host.Command {
	c := host.Command{
		Args: start.GetArgs(), TTY: start.GetTty(), Size: start.GetSize().Host(), Term: start.GetTerm(), Events: e.events,
		Stdout: sink(func(b []byte) error { return e.send(&api.ExecResponse{Stdout: b}) }),
		Stderr: sink(func(b []byte) error { return e.send(&api.ExecResponse{Stderr: b}) }),
	}
	if start.GetStdin() {
		c.Stdin = e.stdin
	}
	return c
}

func (e *executing) send(m *api.ExecResponse) error {
	e.sends.Lock()
	defer e.sends.Unlock()
	return e.stream.Send(m)
}

func (e *executing) took(n int) { _ = e.send(&api.ExecResponse{Taken: int64(n)}) }

// receive passes on what the other side sends. It never waits for the command to read, so that signals get through.
func (e *executing) receive(ctx context.Context) {
	for {
		m, err := e.stream.Recv()
		if err != nil {
			e.stdin.close(io.EOF)
			return
		}
		if err := e.stdin.put(m.GetStdin()); err != nil {
			return
		}
		if m.GetEof() {
			e.stdin.close(io.EOF)
		}
		if m.GetSize() == nil && m.GetSignal() == "" {
			continue
		}
		select {
		case e.events <- host.CommandEvent{Size: m.GetSize().Host(), Signal: m.GetSignal()}:
		case <-ctx.Done():
			return
		}
	}
}

// sink is a writer that hands on pieces of bounded size.
type sink func([]byte) error

// Write implements io.Writer.
func (s sink) Write(b []byte) (int, error) {
	for n := 0; n < len(b); {
		part := b[n:min(n+api.Piece, len(b))]
		if err := s(part); err != nil {
			return n, err
		}
		n += len(part)
	}
	return len(b), nil
}

// errFlood ends input of somebody who sends more than was allowed.
var errFlood = errors.New("more input than the window allows")

// inbox is input that waits to be read: never more than its size, for the sender knows how much was taken.
type inbox struct {
	mu     sync.Mutex
	change sync.Cond
	data   []byte
	size   int
	err    error // of Read when data is empty
	took   func(int)
}

func newInbox(size int, took func(int)) *inbox {
	i := &inbox{size: size, took: took}
	i.change.L = &i.mu
	return i
}

func (i *inbox) put(b []byte) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.data)+len(b) > i.size {
		i.err = errFlood
	}
	if i.err == nil {
		i.data = append(i.data, b...)
	}
	i.change.Broadcast()
	if i.err == io.EOF {
		return nil
	}
	return i.err
}

// close lets Read return err after what is there. Only the first counts.
func (i *inbox) close(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.err == nil {
		i.err = err
	}
	i.change.Broadcast()
}

// Read implements io.Reader.
func (i *inbox) Read(b []byte) (int, error) {
	i.mu.Lock()
	for len(i.data) == 0 && i.err == nil {
		i.change.Wait()
	}
	n := copy(b, i.data)
	i.data = i.data[n:]
	err := i.err
	i.mu.Unlock()
	if n == 0 {
		return 0, err
	}
	i.took(n)
	return n, nil
}
