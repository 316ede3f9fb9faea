package server

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/server/api"
)

// Bounds of log messages.
const (
	logQueue = 1024     // lines that wait for a reader
	logPart  = 24 << 10 // bytes in one message, or a line more: like api.Part, but lines may be long
	logExtra = 32       // bytes of a line beside its text, about
)

func notServed(what string) error { return fmt.Errorf("%s: %w", what, api.ErrNotServed) }

// Logs implements the API.
func (s service) Logs(r *api.LogsRequest, out grpc.ServerStreamingServer[api.LogsResponse]) error {
	if s.config.Logs == nil {
		return notServed("logs")
	}
	ctx, done := s.open(out.Context())
	defer done()
	box := newOutbox(out.Context(), logQueue, func(next host.LogLine, more <-chan host.LogLine) error {
		return out.Send(gather(next, more))
	})
	err := s.readLogs(ctx, r.GetTask(), r.Options(), func(l host.LogLine) error { return box.put(ctx, l, 0) })
	return box.finish(out.Context(), err)
}

// readLogs reads until the end, the caller's or that of the server, which is an error that says so.
func (s *Server) readLogs(ctx context.Context, task string, o host.LogOptions, emit func(host.LogLine) error) error {
	err := s.config.Logs.Read(ctx, task, o, emit)
	if s.stopping.Err() != nil && ctx.Err() != nil {
		return errStopping
	}
	return err
}

// gather makes one message of the lines that are there already: a busy task costs few messages, a quiet one no delay.
func gather(next host.LogLine, more <-chan host.LogLine) *api.LogsResponse {
	m, size := &api.LogsResponse{}, 0
	for {
		m.Lines = append(m.Lines, api.ToLogLine(next))
		if size += len(next.Text) + logExtra; size >= logPart {
			return m
		}
		select {
		case l, ok := <-more:
			if !ok {
				return m
			}
			next = l
		default:
			return m
		}
	}
}

// ImportImage implements the API.
func (s service) ImportImage(in grpc.ClientStreamingServer[api.ImportImageRequest, api.ImportImageResponse]) error {
	if s.config.Images == nil {
		return notServed("images")
	}
	first, err := in.Recv()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	rest := newPieces(first.GetData(), in.Recv)
	rest.err = err // nothing at all is an archive of nothing
	added, err := s.config.Images.Import(in.Context(), rest, host.ImportOptions{Pin: first.GetPin()})
	if err != nil {
		return err
	}
	return in.SendAndClose(&api.ImportImageResponse{Images: api.ToImages(added)})
}

// pieces reads a stream of messages as one.
type pieces struct {
	recv func() ([]byte, error)
	rest []byte
	err  error
}

func newPieces[M interface{ GetData() []byte }](first []byte, recv func() (M, error)) *pieces {
	return &pieces{rest: first, recv: func() ([]byte, error) {
		m, err := recv()
		return m.GetData(), err
	}}
}

// Read implements io.Reader.
func (p *pieces) Read(b []byte) (int, error) {
	for len(p.rest) == 0 {
		if p.err != nil {
			return 0, p.err
		}
		p.rest, p.err = p.recv()
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// ListImages implements the API.
func (s service) ListImages(ctx context.Context, _ *api.ListImagesRequest) (*api.ListImagesResponse, error) {
	if s.config.Images == nil {
		return nil, notServed("images")
	}
	list, err := s.config.Images.List(ctx)
	if err != nil {
		return nil, err
	}
	return &api.ListImagesResponse{Images: api.ToImages(list)}, nil
}

// PinImage implements the API.
func (s service) PinImage(ctx context.Context, r *api.PinImageRequest) (*api.PinImageResponse, error) {
	if s.config.Images == nil {
		return nil, notServed("images")
	}
	return &api.PinImageResponse{}, s.config.Images.Pin(ctx, r.GetImage(), r.GetPinned())
}

// RemoveImage implements the API.
func (s service) RemoveImage(ctx context.Context, r *api.RemoveImageRequest) (*api.RemoveImageResponse, error) {
	if s.config.Images == nil {
		return nil, notServed("images")
	}
	return &api.RemoveImageResponse{}, s.config.Images.Remove(ctx, r.GetImage())
}
