package containerd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/errdefs"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/containerd/registry"
)

// flight is one pull that any number of tasks wait for.
type flight struct {
	done    chan struct{}
	img     *image
	err     error
	waiting int
	cancel  context.CancelFunc
	shown   *registry.Pull
}

// pull fetches an image from its registry. Callers that want the same one share the work; it ends when the last gives up.
func (s *imageStore) pull(ctx context.Context, ref, pinned string) (*image, error) {
	name, err := imageName(ref, pinned)
	if err != nil {
		return nil, err
	}
	f := s.join(ctx, name)
	f.shown.For(ref)
	defer s.leave(name, f)
	select {
	case <-f.done:
		return f.img, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *imageStore) join(ctx context.Context, name string) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flights[name]
	if f == nil {
		work, cancel := context.WithCancel(context.WithoutCancel(ctx))
		f = &flight{done: make(chan struct{}), cancel: cancel, shown: s.source.Begin(name)}
		s.flights[name] = f
		s.work.Go(func() {
			since := time.Now()
			f.img, f.err = s.fetch(work, name, f.shown)
			f.shown.End()
			s.tell(pulled(f.err, since))
			close(f.done)
		})
	}
	f.waiting++
	return f
}

func (s *imageStore) leave(name string, f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.waiting--
	if f.waiting > 0 {
		return
	}
	f.cancel()
	if s.flights[name] == f {
		delete(s.flights, name)
	}
}

// fetch pulls and unpacks this machine's variant of name. What came of it is kept when it fails or is killed, for the next try.
func (s *imageStore) fetch(ctx context.Context, name string, shown *registry.Pull) (*image, error) {
	held, err := s.hold(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("pull %s: %w", name, err)
	}
	resolver := counting{s.source.Resolver(), s.tell}
	pulled, err := s.client.Pull(held, name, client.WithResolver(resolver), client.WithPlatformMatcher(s.platform),
		client.WithPullUnpack, client.WithPullSnapshotter(snapshotter),
		client.WithUnpackOpts([]client.UnpackOpt{client.WithUnpackDuplicationSuppressor(&s.locks)}),
		client.WithImageHandlerWrapper(s.follow(shown)))
	var img *image
	if err == nil {
		img, err = s.ready(held, pulled.Metadata())
	} else if err = s.whyNot(held, resolver, name, err); shown.Came() > 0 && !errdefs.IsFailedPrecondition(err) {
		err = partly{err}
	}
	s.settle(ctx, name, err)
	return img, err
}

// partly is why a pull failed that has come nearer to its end all the same: it is worth trying again soon.
type partly struct{ error }

// Unwrap lets errors.Is and As see the cause.
func (p partly) Unwrap() error { return p.error }

// whyNot looks whether a pull failed because the image was not made for this machine.
func (s *imageStore) whyNot(ctx context.Context, resolver remotes.Resolver, name string, cause error) error {
	cause = fmt.Errorf("pull %s: %w", name, cause)
	var unreachable *url.Error
	if ctx.Err() != nil || errors.As(cause, &unreachable) || errors.Is(cause, registry.ErrNoAnswer) {
		return cause
	}
	_, target, err := resolver.Resolve(ctx, name)
	if err != nil {
		return cause
	}
	var other *platformError
	err = s.explain(ctx, name, target, host.ErrNotFound)
	if _, e := images.Manifest(ctx, s.client.ContentStore(), target, s.platform); e != nil {
		err = s.explain(ctx, name, target, e)
	}
	if errors.As(err, &other) {
		return other
	}
	return cause
}
