package grpcstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/server/api"
)

// DialTask connects to a port of a task through the node, like host.Inside.
func (c *Conn) DialTask(ctx context.Context, task string, port int) (net.Conn, error) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	release := context.AfterFunc(ctx, cancel) // until it is open; then it lives as long as it is not closed
	defer release()
	stream, err := c.api.Forward(own)
	if err == nil {
		_ = stream.Send(&api.ForwardRequest{Start: &api.ForwardStart{Task: task, Port: uint32(port)}})
		_, err = stream.Recv()
	}
	if err != nil {
		defer cancel()
		return nil, c.explain(ctx, err)
	}
	return &tunnel{conn: c, ctx: own, cancel: cancel, stream: stream, name: address(fmt.Sprintf("%s:%d", task, port))}, nil
}

// tunnel is a connection through a stream. It knows no deadlines.
type tunnel struct {
	conn   *Conn
	ctx    context.Context
	cancel context.CancelFunc
	stream grpc.BidiStreamingClient[api.ForwardRequest, api.ForwardResponse]
	name   address
	rest   []byte
	ended  error
}

// Read implements net.Conn.
func (t *tunnel) Read(b []byte) (int, error) {
	for len(t.rest) == 0 && t.ended == nil {
		m, err := t.stream.Recv()
		switch {
		case errors.Is(err, io.EOF) || err == nil && m.GetEof():
			t.ended = io.EOF
		case err != nil:
			t.ended = t.conn.explain(t.ctx, err)
		}
		t.rest = m.GetData()
	}
	n := copy(b, t.rest)
	t.rest = t.rest[n:]
	if n == 0 {
		return 0, t.ended
	}
	return n, nil
}

// Write implements net.Conn.
func (t *tunnel) Write(b []byte) (int, error) {
	for n := 0; n < len(b); n += api.Piece {
		if err := t.stream.Send(&api.ForwardRequest{Data: b[n:min(n+api.Piece, len(b))]}); err != nil {
			return n, io.ErrClosedPipe
		}
	}
	return len(b), nil
}

// CloseWrite says that nothing more will be written.
func (t *tunnel) CloseWrite() error { return t.stream.CloseSend() }

// Close implements net.Conn.
func (t *tunnel) Close() error {
	t.cancel()
	return nil
}

// LocalAddr implements net.Conn.
func (t *tunnel) LocalAddr() net.Addr { return address(t.conn.target) }

// RemoteAddr implements net.Conn.
func (t *tunnel) RemoteAddr() net.Addr { return t.name }

// SetDeadline implements net.Conn.
func (t *tunnel) SetDeadline(time.Time) error { return os.ErrNoDeadline }

// SetReadDeadline implements net.Conn.
func (t *tunnel) SetReadDeadline(time.Time) error { return os.ErrNoDeadline }

// SetWriteDeadline implements net.Conn.
func (t *tunnel) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// address is the name of an end of a tunnel.
type address string

// Network implements net.Addr.
func (address) Network() string { return "warren" }

// String implements net.Addr.
func (a address) String() string { return string(a) }

// ReadFiles writes a file or tree of a task as a tar archive, like host.Inside.
func (c *Conn) ReadFiles(ctx context.Context, task, path string, to io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, err := c.api.ReadFiles(ctx, &api.ReadFilesRequest{Task: task, Path: path})
	if err != nil {
		return c.explain(ctx, err)
	}
	for {
		m, err := in.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return c.explain(ctx, err)
		}
		if _, err := to.Write(m.GetData()); err != nil {
			return err
		}
	}
}

// WriteFiles puts a tar archive into a task, like host.Inside.
func (c *Conn) WriteFiles(ctx context.Context, task, path, name string, from io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, err := c.api.WriteFiles(ctx)
	if err != nil {
		return c.explain(ctx, err)
	}
	m := &api.WriteFilesRequest{Start: &api.WriteFilesStart{Task: task, Path: path, Name: name}}
	buf := make([]byte, api.Piece)
	for sent := out.Send(m); sent == nil; { // an error of Send is only io.EOF; what it was about comes with the answer
		n, err := io.ReadFull(from, buf)
		if n > 0 {
			sent = out.Send(&api.WriteFilesRequest{Data: buf[:n]})
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	_, err = out.CloseAndRecv()
	return c.explain(ctx, err)
}

// Usage reads the counters of the node and its tasks.
func (c *Conn) Usage(ctx context.Context) (host.Usage, error) {
	r, err := c.api.Usage(ctx, &api.UsageRequest{})
	return r.Usage(), c.explain(ctx, err)
}
