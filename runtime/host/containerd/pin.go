package containerd

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/containerd/v2/core/images"
)

// Pin keeps an image from being collected, or no longer. It stays pinned when its name gets other content.
func (h *Host) Pin(ctx context.Context, ref string, pinned bool) error {
	ctx = h.scoped(ctx)
	found, err := h.images.named(ctx, ref)
	if err != nil {
		return fmt.Errorf("pin image %s: %w", ref, err)
	}
	var errs []error
	for _, img := range found {
		errs = append(errs, h.images.pin(ctx, img, pinned))
	}
	if !pinned {
		h.gc.nudge()
	}
	return wrap("pin image "+ref, errors.Join(errs...))
}

func (s *imageStore) pin(ctx context.Context, img images.Image, pinned bool) error {
	value := ""
	if pinned {
		value = "true"
	}
	if img.Labels[labelPinned] == value {
		return nil
	}
	return s.setLabels(ctx, img.Name, map[string]string{labelPinned: value})
}
