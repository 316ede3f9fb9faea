package containerd

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
)

// Labels on an image. They belong to its name, and stay when the name gets other content.
const (
	labelPinned = labelPrefix + "pinned" // "true": never collected
	labelUsed   = labelPrefix + "used"   // when it was last known to be used, RFC 3339; about an hour behind at most
	// labelArchive, with a hash of the file's name behind it, tells which archive of the images directory brought it.
	labelArchive = labelPrefix + "archive."
)

// labelled is an image store in which our labels outlive what containerd writes when a name is pulled anew: that replaces
// everything.
type labelled struct{ images.Store }

// Update implements images.Store.
func (s labelled) Update(ctx context.Context, img images.Image, fields ...string) (images.Image, error) {
	if len(fields) == 0 || slices.Contains(fields, "labels") {
		old, err := s.Get(ctx, img.Name)
		if err != nil {
			return old, err
		}
		img.Labels = withOurs(img.Labels, old.Labels)
	}
	return s.Store.Update(ctx, img, fields...)
}

// withOurs adds those of our labels in old that are not set anew.
func withOurs(labels, old map[string]string) map[string]string {
	out := maps.Clone(labels)
	for k, v := range old {
		if _, set := labels[k]; !set && strings.HasPrefix(k, labelPrefix) && k != labelKept {
			if out == nil {
				out = map[string]string{}
			}
			out[k] = v
		}
	}
	return out
}

// setLabels changes single labels of an image; an empty value removes one.
func (s *imageStore) setLabels(ctx context.Context, name string, labels map[string]string) error {
	var fields []string
	for k := range labels {
		fields = append(fields, "labels."+k)
	}
	slices.Sort(fields)
	_, err := s.client.ImageService().Update(ctx, images.Image{Name: name, Labels: labels}, fields...)
	return err
}
