package containerd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"warren.io/warren/runtime/host/containerd/registry"
)

// What has come of an image is held by a lease in containerd that is named after the image: it outlives a failed try, a kill
// and a reboot, and the next try goes on from there, in the midst of a layer. It ends with the pull, or when nobody has
// wanted the image for keepParts.

// labelPull is on the lease of a pull and has the image's name.
const labelPull = "warren.io/pull"

// labelExpires is on leases that containerd's own code makes for the time of one call.
const labelExpires = "containerd.io/gc.expire"

// keepParts is how long what came of an image stays after the last who wanted it has given up. Tests shorten it.
var keepParts = time.Hour

func leaseOf(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "pull-" + hex.EncodeToString(sum[:16])
}

// hold makes what comes from now on belong to the pull of name.
func (s *imageStore) hold(ctx context.Context, name string) (context.Context, error) {
	s.leasing.Lock()
	defer s.leasing.Unlock()
	if t := s.forgetting[name]; t != nil {
		t.Stop()
		delete(s.forgetting, name)
	}
	id := leaseOf(name)
	_, err := s.client.LeasesService().Create(ctx, leases.WithID(id), leases.WithLabel(labelPull, name))
	if err != nil && !errdefs.IsAlreadyExists(err) {
		return nil, err
	}
	return leases.WithLease(ctx, id), nil
}

// settle ends the hold after a pull: at once if it went well or never will, later if it may be tried again.
func (s *imageStore) settle(ctx context.Context, name string, err error) {
	var other *platformError
	if err != nil && !errors.As(err, &other) {
		s.forgetLater(context.WithoutCancel(ctx), name)
		return
	}
	s.leasing.Lock()
	defer s.leasing.Unlock()
	_ = s.client.LeasesService().Delete(context.WithoutCancel(ctx), leases.Lease{ID: leaseOf(name)}) // else it is found at the next start
}

// forgetLater removes what came of an image unless somebody wants it again meanwhile.
func (s *imageStore) forgetLater(ctx context.Context, name string) {
	s.leasing.Lock()
	defer s.leasing.Unlock()
	if s.forgetting == nil {
		return
	}
	if t := s.forgetting[name]; t != nil {
		t.Stop()
	}
	var t *time.Timer
	t = time.AfterFunc(keepParts, func() {
		s.leasing.Lock()
		defer s.leasing.Unlock()
		if s.forgetting[name] != t || s.flying(name) {
			return // the next try has begun, and its end will look to it
		}
		delete(s.forgetting, name)
		_ = s.client.LeasesService().Delete(ctx, leases.Lease{ID: leaseOf(name)}, leases.SynchronousDelete)
	})
	s.forgetting[name] = t
}

func (s *imageStore) flying(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flights[name] != nil
}

// takeParts looks after the start, before anything else is done, for what a killed run has left. Parts of images that nobody
// wants any more are forgotten in time. Leases that containerd's code made for one call of that run protect nothing that is
// of use. With an existing containerd the namespace is ours alone, so all leases in it are too.
func (s *imageStore) takeParts(ctx context.Context) error {
	all, err := s.client.LeasesService().List(ctx)
	if err != nil {
		return fmt.Errorf("list leases: %w", err)
	}
	var errs []error
	for _, l := range all {
		switch name := l.Labels[labelPull]; {
		case name != "":
			s.forgetLater(ctx, name)
		case l.Labels[labelExpires] != "":
			errs = append(errs, unlessGone(s.client.LeasesService().Delete(ctx, l)))
		}
	}
	return errors.Join(errs...)
}

// close waits for the pulls, which have been told to end, and stops the timers.
func (s *imageStore) close() {
	s.work.Wait()
	s.leasing.Lock()
	defer s.leasing.Unlock()
	for _, t := range s.forgetting {
		t.Stop()
	}
	s.forgetting = nil
	s.source.Close()
}

// follow lets a pull be shown, and mends what is broken of an earlier try.
func (s *imageStore) follow(shown *registry.Pull) func(images.Handler) images.Handler {
	return func(inner images.Handler) images.Handler {
		return images.HandlerFunc(func(ctx context.Context, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
			shown.Need(d, func() int64 { return s.begun(ctx, d) })
			children, err := s.afresh(ctx, inner, d)
			if err != nil {
				return children, err
			}
			for _, c := range children {
				shown.Need(c, func() int64 { return s.begun(ctx, c) })
			}
			shown.Have(d)
			return children, nil
		})
	}
}

// begun is how much of d is here.
func (s *imageStore) begun(ctx context.Context, d ocispec.Descriptor) int64 {
	if info, err := s.client.ContentStore().Info(ctx, d.Digest); err == nil {
		return info.Size
	}
	if st, err := s.client.ContentStore().Status(ctx, remotes.MakeRefKey(ctx, d)); err == nil {
		return st.Offset
	}
	return 0
}

// afresh fetches d. If what came of it is not what it should be, it is thrown away, or it would be taken up again for ever;
// and if part of it was from an earlier try, which a power cut may have spoilt, it is fetched once more from its beginning.
func (s *imageStore) afresh(ctx context.Context, inner images.Handler, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	before := s.begun(ctx, d)
	children, err := inner.Handle(ctx, d)
	if err == nil || !errdefs.IsFailedPrecondition(err) {
		return children, err
	}
	if gone := unlessGone(s.client.ContentStore().Abort(ctx, remotes.MakeRefKey(ctx, d))); gone != nil || before == 0 {
		return nil, errors.Join(err, gone)
	}
	return inner.Handle(ctx, d)
}
