package containerd

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
)

// labelKept marks names that were given to images only so that their content stays.
const labelKept = "warren.io/kept"

// keepUsed gives every image that a task uses a second name, made of its digest, before an import may take the first one
// away: tasks are pinned to digests, and their next start must not need a registry.
func (s *imageStore) keepUsed(ctx context.Context) error {
	s.mu.Lock()
	s.imports++
	s.mu.Unlock()
	used, err := s.used(ctx)
	if err != nil {
		return err
	}
	all, err := s.client.ImageService().List(ctx)
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	var errs []error
	for _, img := range all {
		digest := img.Target.Digest.String()
		name, err := imageName(img.Name, digest)
		if err != nil || !used[digest] && !s.mustStay(digest) || name == img.Name {
			continue
		}
		kept := images.Image{Name: name, Target: img.Target, Labels: map[string]string{labelKept: "true"}}
		if _, err := s.client.ImageService().Create(ctx, kept); err != nil && !errdefs.IsAlreadyExists(err) {
			errs = append(errs, fmt.Errorf("keep image %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// dropKept removes the second names that are not needed: their image still has its first one, or no task uses it any more.
// What cannot be removed now is removed after the next import.
func (s *imageStore) dropKept(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.imports--; s.imports > 0 {
		return
	}
	used, err := s.used(ctx)
	if err != nil {
		return
	}
	all, err := s.client.ImageService().List(ctx)
	if err != nil {
		return
	}
	named := map[string]bool{}
	for _, img := range all {
		if img.Labels[labelKept] == "" {
			named[img.Target.Digest.String()] = true
		}
	}
	for _, img := range all {
		digest := img.Target.Digest.String()
		if img.Labels[labelKept] != "" && (named[digest] || !used[digest] && !s.mustStay(digest)) {
			_ = s.client.ImageService().Delete(ctx, img.Name)
		}
	}
}

// mustStay tells of images of services, and of their earlier revisions: going back needs no registry.
func (s *imageStore) mustStay(digest string) bool { return s.keeps != nil && s.keeps(digest) }

// used are the digests that tasks of this node run or have run last.
func (s *imageStore) used(ctx context.Context) (map[string]bool, error) {
	all, err := s.client.ContainerService().List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	used := map[string]bool{}
	for _, c := range all {
		used[c.Labels[labelDigest]] = true
	}
	return used, nil
}
