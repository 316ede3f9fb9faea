package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// fetcher waits for its turn and counts.
type fetcher struct {
	remotes.Fetcher
	source *Source
}

// Fetch implements remotes.Fetcher. What it returns can seek, so that a download that was interrupted goes on where it was.
func (f fetcher) Fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	release, err := f.source.turn(ctx, d)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	from, err := f.Fetcher.Fetch(ctx, d)
	if err != nil {
		cancel(nil)
		release()
		return nil, err
	}
	s := &stream{source: f.source, ctx: ctx, cancel: cancel, release: release, from: from, blob: f.source.board.blob(d)}
	s.watchdog = time.AfterFunc(f.source.stall, func() { cancel(errStalled) })
	s.watchdog.Stop()
	return s, nil
}

// turn waits until one more layer may be fetched. All else is small and does not wait.
func (s *Source) turn(ctx context.Context, d ocispec.Descriptor) (release func(), err error) {
	if !images.IsLayerType(d.MediaType) {
		return func() {}, nil
	}
	select {
	case s.slots <- struct{}{}:
		return func() { <-s.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

var errStalled = errors.New("the registry stopped sending")

// stream is content on its way here.
type stream struct {
	source   *Source
	ctx      context.Context // of the request; a Read has none of its own
	cancel   context.CancelCauseFunc
	release  func()
	from     io.ReadCloser
	blob     *blob // nil if nobody wants to know
	watchdog *time.Timer
	at, gone int64 // how far it is, and was when the connection was lost last
}

// Read implements io.Reader at the rate that is allowed.
func (s *stream) Read(p []byte) (int, error) {
	if l := s.source.limit; l != nil {
		p = p[:min(len(p), l.Burst())]
	}
	s.watchdog.Reset(s.source.stall)
	n, err := s.from.Read(p)
	s.watchdog.Stop()
	s.blob.add(n)
	s.at += int64(n)
	if l := s.source.limit; l != nil && n > 0 {
		if waited := l.WaitN(s.ctx, n); err == nil {
			err = waited
		}
	}
	switch {
	case err == nil || err == io.EOF:
	case errors.Is(context.Cause(s.ctx), errStalled):
		err = fmt.Errorf("%w: nothing came for %s", errStalled, s.source.stall)
	case s.ctx.Err() == nil && s.at > s.gone && s.reopen() == nil:
		err = nil
	}
	return n, err
}

// reopen makes the next Read ask for the rest over a new connection. Whoever calls it has seen content come since the last
// time, so this ends. Connections that are closed in good order containerd opens again by itself; those that are reset not.
func (s *stream) reopen() error {
	seeker, ok := s.from.(io.Seeker)
	if !ok {
		return errNoRest
	}
	s.gone = s.at
	_, there := seeker.Seek(s.at+1, io.SeekStart) // it keeps the broken connection unless it is sent elsewhere
	_, back := seeker.Seek(s.at, io.SeekStart)
	return errors.Join(there, back)
}

var errNoRest = errors.New("fetch: the registry's answer cannot be continued")

// Seek implements io.Seeker.
func (s *stream) Seek(offset int64, whence int) (int64, error) {
	seeker, ok := s.from.(io.Seeker)
	if !ok {
		return 0, errNoRest
	}
	at, err := seeker.Seek(offset, whence)
	if err == nil {
		s.at, s.gone = at, at
		s.blob.set(at)
	}
	return at, err
}

// Close implements io.Closer.
func (s *stream) Close() error {
	s.watchdog.Stop()
	err := s.from.Close()
	s.cancel(nil)
	s.release()
	return err
}
