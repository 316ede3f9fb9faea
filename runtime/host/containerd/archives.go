package containerd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"warren.io/warren/runtime/host"
)

// archiveKey is the label of an archive: names of files may be too long for one.
func archiveKey(name string) string {
	sum := sha256.Sum256([]byte(name))
	return labelArchive + hex.EncodeToString(sum[:8])
}

// archivesOf are the labels of all archives that brought an image.
func archivesOf(img images.Image) []string {
	keys := slices.Sorted(maps.Keys(img.Labels))
	return slices.DeleteFunc(keys, func(k string) bool { return !strings.HasPrefix(k, labelArchive) })
}

// HasArchive tells whether an archive was imported, and what it brought is still here and complete.
func (h *Host) HasArchive(ctx context.Context, a host.Archive) (bool, error) {
	ctx = h.scoped(ctx)
	all, err := h.client.ImageService().List(ctx)
	if err != nil {
		return false, fmt.Errorf("list images: %w", err)
	}
	found := false
	for _, img := range all {
		if img.Labels[archiveKey(a.Name)] != a.Version {
			continue
		}
		if h.images.lacks(ctx, img.Target) != "" {
			return false, nil
		}
		found = true
	}
	return found, nil
}

// KeepArchives says which archives are there. What others brought is no longer kept for their sake.
func (h *Host) KeepArchives(ctx context.Context, names []string) error {
	ctx = h.scoped(ctx)
	all, err := h.client.ImageService().List(ctx)
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	there := map[string]bool{}
	for _, n := range names {
		there[archiveKey(n)] = true
	}
	var errs []error
	for _, img := range all {
		gone := map[string]string{}
		for _, key := range archivesOf(img) {
			if !there[key] {
				gone[key] = ""
			}
		}
		if len(gone) > 0 {
			errs = append(errs, h.images.setLabels(ctx, img.Name, gone))
			h.gc.nudge()
		}
	}
	return wrap("note which archives are there", errors.Join(errs...))
}

// mark notes on imported images how they came. It is done when all of an archive are there, so that one whose import was cut
// off is imported again.
func (s *imageStore) mark(ctx context.Context, list []images.Image, o host.ImportOptions) error {
	labels := map[string]string{}
	if o.Pin {
		labels[labelPinned] = "true"
	}
	if o.Archive.Name != "" {
		labels[archiveKey(o.Archive.Name)] = o.Archive.Version
	}
	if len(labels) == 0 {
		return nil
	}
	var errs []error
	for _, img := range list {
		errs = append(errs, s.setLabels(ctx, img.Name, maps.Clone(labels)))
	}
	return errors.Join(errs...)
}

// lacks says what an image has lost of what this machine needs of it; nothing: it is complete.
func (s *imageStore) lacks(ctx context.Context, target ocispec.Descriptor) string {
	available, required, _, missing, err := images.Check(ctx, s.client.ContentStore(), target, s.platform)
	switch {
	case err != nil:
		return "Damaged"
	case !available:
		return "Incomplete"
	case len(missing) > 0:
		return fmt.Sprintf("Incomplete (%d of %d)", len(required)-len(missing), len(required))
	}
	return ""
}
