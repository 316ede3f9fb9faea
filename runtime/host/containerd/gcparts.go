package containerd

import (
	"context"
	"errors"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
)

// dropParts gives up what came of images whose pull failed or was given up, unless somebody still wants them.
func (c *collector) dropParts(ctx context.Context) error {
	wanted, err := c.h.wanted()
	if err != nil {
		return err
	}
	return c.h.images.dropParts(ctx, func(name string) bool {
		digest := pinnedDigest(name, "")
		return wanted[name] || digest != "" && wanted[digest] || c.protects(images.Image{Name: name}) || digest != "" && c.mustStay(digest)
	})
}

// dropParts ends at once what would end by itself later.
func (s *imageStore) dropParts(ctx context.Context, wanted func(name string) bool) error {
	s.leasing.Lock()
	defer s.leasing.Unlock()
	var errs []error
	for name, timer := range s.forgetting {
		if wanted(name) {
			continue
		}
		timer.Stop()
		delete(s.forgetting, name)
		err := s.client.LeasesService().Delete(ctx, leases.Lease{ID: leaseOf(name)}, leases.SynchronousDelete)
		errs = append(errs, unlessGone(err))
	}
	return wrap("give up what came of images", errors.Join(errs...))
}
