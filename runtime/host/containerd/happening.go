package containerd

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/containerd/containerd/v2/core/remotes"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"warren.io/warren/runtime/host"
)

// happened tells those who count, if there are any.
func (h *Host) happened(e host.Happening) {
	if h.cfg.Happened != nil {
		h.cfg.Happened(e)
	}
}

// started tells how an attempt to start the task ended, and how long it took if it runs now.
func (u *unit) started(outcome string, took time.Duration) {
	u.h.happened(host.Happening{What: host.TaskStart, Outcome: outcome, Again: u.rec.attempt > 1, Took: took})
}

// exited tells of a process that ended of itself.
func (u *unit) exited() {
	outcome := "failed"
	switch {
	case u.rec.oomKilled:
		outcome = "oom_killed"
	case u.rec.reason == host.ReasonLost:
		outcome = "lost"
	case u.rec.exitCode == 0:
		outcome = "completed"
	}
	u.h.happened(host.Happening{What: host.TaskExit, Outcome: outcome})
}

// pulled makes what is told of a pull that began at a time.
func pulled(err error, since time.Time) host.Happening {
	outcome := "pulled"
	switch {
	case errors.Is(err, context.Canceled):
		outcome = "given_up"
	case err != nil:
		outcome = "failed"
	}
	return host.Happening{What: host.ImagePull, Outcome: outcome, Took: time.Since(since)}
}

// counting tells how many bytes come from registries.
type counting struct {
	remotes.Resolver
	tell func(host.Happening)
}

// Fetcher implements remotes.Resolver.
func (c counting) Fetcher(ctx context.Context, ref string) (remotes.Fetcher, error) {
	f, err := c.Resolver.Fetcher(ctx, ref)
	if err != nil {
		return nil, err
	}
	return remotes.FetcherFunc(func(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
		body, err := f.Fetch(ctx, d)
		if err != nil {
			return nil, err
		}
		counted := &countedBody{body, c.tell}
		if seeker, ok := body.(io.Seeker); ok { // what is here of a blob is not fetched again
			return struct {
				*countedBody
				io.Seeker
			}{counted, seeker}, nil
		}
		return counted, nil
	}), nil
}

// countedBody is an answer of a registry.
type countedBody struct {
	io.ReadCloser
	tell func(host.Happening)
}

// Read implements io.Reader.
func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.tell(host.Happening{What: host.ImageBytes, Bytes: int64(n)})
	}
	return n, err
}
