package containerd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"

	"warren.io/warren/runtime/host"
)

// mendTries is how often an incomplete image is asked for again after a start: for about a quarter of an hour, since a network
// may take its time to come up. A task that needs the image goes on asking after that.
const mendTries = 10

// mend looks for images that are not complete, and fetches what they lack. What cannot be had is told.
func (h *Host) mend(ctx context.Context) {
	for tries := 1; ctx.Err() == nil; tries++ {
		came := h.images.arrival()
		left := h.mendAll(ctx, tries == 1)
		if left == 0 {
			return
		}
		var again <-chan time.Time
		if tries < mendTries {
			again = time.After(backoff(tries, time.Second, 5*time.Minute))
		}
		select {
		case <-ctx.Done():
		case <-again:
		case <-came:
		}
	}
}

// mendAll tries it once for each image, and returns how many are incomplete after that.
func (h *Host) mendAll(ctx context.Context, tell bool) (left int) {
	all, err := h.client.ImageService().List(ctx)
	if err != nil {
		h.log.Error(err, "images could not be looked at")
		return 1
	}
	lacking := map[string]string{}
	for _, img := range all {
		lack := h.images.lacks(ctx, img.Target)
		if lack == "" {
			continue
		}
		err := h.images.complete(ctx, img)
		if ctx.Err() != nil {
			return 1
		}
		if err == nil {
			h.log.Info("an image was damaged and is complete again", "image", img.Name)
			h.remark(host.Remark{Reason: host.ReasonImageRepaired, Message: fmt.Sprintf("image %s was damaged; what it lacked was fetched", img.Name)})
			continue
		}
		lacking[img.Name] = lack
		if tell {
			h.log.Error(err, "an image is damaged and cannot be fetched", "image", img.Name, "status", lack)
			h.remark(host.Remark{Warning: true, Reason: host.ReasonImageDamaged, Message: fmt.Sprintf(
				"image %s is damaged (%s) and cannot be fetched: %v; try: warrenctl image import FILE", img.Name, lack, err)})
		}
	}
	h.setLacking(lacking)
	return len(lacking)
}

func (h *Host) setLacking(lacking map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lacking = slices.Sorted(maps.Keys(lacking))
}

// damaged are the images that lacked something when they were last looked at, and still do.
func (h *Host) damaged(ctx context.Context) (all []string) {
	h.mu.Lock()
	names := h.lacking
	h.mu.Unlock()
	for _, name := range names {
		img, err := h.client.ImageService().Get(ctx, name)
		if err != nil {
			continue
		}
		if lack := h.images.lacks(ctx, img.Target); lack != "" {
			all = append(all, fmt.Sprintf("image %s: %s", name, lack))
		}
	}
	return all
}

// complete fetches what an image lacks, by its digest: its tag may mean something else by now. Its layers may be unpacked,
// so this is no pull, which would leave out their content.
func (s *imageStore) complete(ctx context.Context, img images.Image) error {
	name, err := imageName(img.Name, img.Target.Digest.String())
	if err != nil {
		return err
	}
	_, there := s.client.ImageService().Get(ctx, name)
	held, err := s.hold(ctx, name)
	if err != nil {
		return err
	}
	_, err = s.client.Fetch(held, name, client.WithResolver(counting{s.source.Resolver(), s.tell}), client.WithPlatformMatcher(s.platform))
	if err == nil {
		_, err = s.ready(ctx, img)
	}
	if err == nil && s.lacks(ctx, img.Target) != "" {
		err = errors.New("it still lacks something")
	}
	if errdefs.IsNotFound(there) && name != img.Name {
		err = errors.Join(err, unlessGone(s.client.ImageService().Delete(ctx, name)))
	}
	s.settle(ctx, name, err)
	return err
}
