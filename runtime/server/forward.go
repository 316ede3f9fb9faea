package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"

	"google.golang.org/grpc"

	"warren.io/warren/runtime/server/api"
)

// Forward implements the API.
func (s service) Forward(stream grpc.BidiStreamingServer[api.ForwardRequest, api.ForwardResponse]) error {
	if s.config.Inside == nil {
		return notServed("port-forward")
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	ctx, done := s.open(stream.Context())
	defer done()
	conn, err := s.config.Inside.DialTask(ctx, first.GetStart().GetTask(), int(first.GetStart().GetPort()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	release := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends both directions
	defer release()
	if err := stream.Send(&api.ForwardResponse{}); err != nil {
		return err
	}
	in := make(chan error, 1)
	go func() { in <- intoTask(conn, newPieces(first.GetData(), stream.Recv)) }()
	err = fromTask(conn, stream.Send)
	if err == nil {
		err = <-in
	}
	if s.stopping.Err() != nil && ctx.Err() != nil {
		return errStopping
	}
	return err
}

// intoTask ends when the other side has closed, also for half, or the task takes no more.
func intoTask(to net.Conn, from io.Reader) error {
	if _, err := io.CopyBuffer(onlyWriter{to}, from, make([]byte, api.Piece)); err != nil {
		_ = to.Close() // wakes the other direction
		return err
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // fails if the task has closed already
		return nil
	}
	return to.Close()
}

// onlyWriter hides what io.Copy would use instead of the buffer.
type onlyWriter struct{ io.Writer }

func fromTask(from net.Conn, send func(*api.ForwardResponse) error) error {
	buf := make([]byte, api.Piece)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if err := send(&api.ForwardResponse{Data: buf[:n]}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return send(&api.ForwardResponse{Eof: true})
		}
		if err != nil {
			return err
		}
	}
}

// ReadFiles implements the API.
func (s service) ReadFiles(r *api.ReadFilesRequest, out grpc.ServerStreamingServer[api.ReadFilesResponse]) error {
	if s.config.Inside == nil {
		return notServed("files")
	}
	to := bufio.NewWriterSize(sink(func(b []byte) error { return out.Send(&api.ReadFilesResponse{Data: b}) }), api.Piece)
	ctx, done := s.open(out.Context())
	defer done()
	if err := s.config.Inside.ReadFiles(ctx, r.GetTask(), r.GetPath(), to); err != nil {
		return err
	}
	return to.Flush()
}

// WriteFiles implements the API.
func (s service) WriteFiles(in grpc.ClientStreamingServer[api.WriteFilesRequest, api.WriteFilesResponse]) error {
	if s.config.Inside == nil {
		return notServed("files")
	}
	first, err := in.Recv()
	if err != nil {
		return err
	}
	start := first.GetStart()
	ctx, done := s.open(in.Context())
	defer done()
	err = s.config.Inside.WriteFiles(ctx, start.GetTask(), start.GetPath(), start.GetName(), newPieces(first.GetData(), in.Recv))
	if err != nil {
		return err
	}
	return in.SendAndClose(&api.WriteFilesResponse{})
}

// Usage implements the API.
func (s service) Usage(ctx context.Context, _ *api.UsageRequest) (*api.UsageResponse, error) {
	if s.config.Meter == nil {
		return nil, notServed("usage")
	}
	u, err := s.config.Meter.Usage(ctx)
	if err != nil {
		return nil, err
	}
	return api.ToUsage(u), nil
}
