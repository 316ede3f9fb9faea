package containerd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/containerd/registry"
)

// withRoot keeps a task's root file system from containerd's garbage collection until its container refers to it.
var withRoot = snapshots.WithLabels(map[string]string{"containerd.io/gc.root": "task"})

// image is one that is here, unpacked, and can run on this machine.
type image struct {
	name      string
	digest    string // of what the name refers to: the index where there is one
	platforms []string
	config    ocispec.ImageConfig
	chain     string // the snapshot of its topmost layer
}

// platformError: the image has no variant for this machine.
type platformError struct {
	ref, digest string
	has         []string
}

func (e *platformError) Error() string {
	return fmt.Sprintf("image %s has no variant for %s, only for %s", e.ref, platforms.DefaultString(), strings.Join(e.has, ", "))
}

// imageStore is the images of this node.
type imageStore struct {
	client   *client.Client
	source   *registry.Source
	platform platforms.MatchComparer
	locks    registry.Locks       // over content and root file systems that several pulls need
	tell     func(host.Happening) // of pulls and their bytes

	leasing    sync.Mutex             // over changes of leases
	forgetting map[string]*time.Timer // by image; nil after close

	uses  lastUses
	keeps func(digest string) bool // whether it must stay though no task uses it and its name has gone to another; may be nil

	work    sync.WaitGroup // the pulls
	mu      sync.Mutex
	flights map[string]*flight // pulls that are going on, by full name
	imports int                // that are going on
	arrived chan struct{}      // closed and renewed when images came by another way
}

func newImageStore(c *client.Client, from *registry.Source) *imageStore {
	return &imageStore{client: c, source: from, platform: platforms.Default(), flights: map[string]*flight{}, arrived: make(chan struct{}),
		forgetting: map[string]*time.Timer{}, tell: func(host.Happening) {}}
}

// find answers from what is here, without the network. host.ErrNotFound: it would have to be pulled.
func (s *imageStore) find(ctx context.Context, ref, pinned string) (*image, error) {
	name, err := imageName(ref, pinned)
	if err != nil {
		return nil, err
	}
	img, err := s.record(ctx, name, pinnedDigest(ref, pinned))
	if err != nil {
		return nil, err
	}
	return s.ready(ctx, img)
}

// record finds the stored image with that name, or any that has the digest: names are of no matter then.
func (s *imageStore) record(ctx context.Context, name, digest string) (images.Image, error) {
	store := s.client.ImageService()
	img, err := store.Get(ctx, name)
	if err == nil || !errdefs.IsNotFound(err) {
		return img, err
	}
	if digest != "" {
		same, err := store.List(ctx, "target.digest=="+digest)
		if err != nil {
			return images.Image{}, err
		}
		if len(same) > 0 {
			return same[0], nil
		}
	}
	return images.Image{}, fmt.Errorf("image %s: %w", name, host.ErrNotFound)
}

// ready makes sure that the content is complete and unpacked. Incomplete content counts as not found.
func (s *imageStore) ready(ctx context.Context, img images.Image) (*image, error) {
	s.uses.removing.RLock()
	defer s.uses.removing.RUnlock()
	cs := s.client.ContentStore()
	manifest, err := images.Manifest(ctx, cs, img.Target, s.platform)
	if err != nil {
		return nil, s.explain(ctx, img.Name, img.Target, err)
	}
	var full ocispec.Image
	if err := readJSON(ctx, cs, manifest.Config, &full); err != nil {
		return nil, s.explain(ctx, img.Name, img.Target, err)
	}
	if !s.platform.Match(full.Platform) {
		return nil, &platformError{img.Name, img.Target.Digest.String(), []string{platforms.Format(full.Platform)}}
	}
	chain := identity.ChainID(full.RootFS.DiffIDs).String()
	if _, err := s.client.SnapshotService(snapshotter).Stat(ctx, chain); errdefs.IsNotFound(err) {
		err = client.NewImageWithPlatform(s.client, img, s.platform).Unpack(ctx, snapshotter, durably)
		if err != nil {
			return nil, s.explain(ctx, img.Name, img.Target, err)
		}
	} else if err != nil {
		return nil, err
	}
	s.touched(ctx, img)
	return &image{img.Name, img.Target.Digest.String(), s.platformsOf(ctx, img.Target), full.Config, chain}, nil
}

// explain tells an image that is not complete from one that was not made for this machine.
func (s *imageStore) explain(ctx context.Context, name string, target ocispec.Descriptor, cause error) error {
	if !errdefs.IsNotFound(cause) {
		return fmt.Errorf("read image %s: %w", name, cause)
	}
	if has := s.platformsOf(ctx, target); len(has) > 0 && !s.matchesAny(has) {
		return &platformError{name, target.Digest.String(), has}
	}
	return fmt.Errorf("read image %s: %v: %w", name, cause, host.ErrNotFound)
}

func (s *imageStore) matchesAny(has []string) bool {
	return slices.ContainsFunc(has, func(text string) bool {
		p, err := platforms.Parse(text)
		return err == nil && s.platform.Match(p)
	})
}

// platformsOf lists what target was made for, from what of it is here.
func (s *imageStore) platformsOf(ctx context.Context, target ocispec.Descriptor) []string {
	cs := s.client.ContentStore()
	var has []string
	add := func(p ocispec.Platform) {
		if p.OS != "" && p.OS != "unknown" { // attestations beside the image say "unknown"
			has = append(has, platforms.Format(platforms.Normalize(p)))
		}
	}
	if images.IsIndexType(target.MediaType) {
		var index ocispec.Index
		if readJSON(ctx, cs, target, &index) == nil {
			for _, m := range index.Manifests {
				if m.Platform != nil {
					add(*m.Platform)
				} else {
					has = append(has, s.platformsOf(ctx, m)...)
				}
			}
		}
	} else {
		var manifest ocispec.Manifest
		var full ocispec.Image
		if readJSON(ctx, cs, target, &manifest) == nil && readJSON(ctx, cs, manifest.Config, &full) == nil {
			add(full.Platform)
		}
	}
	slices.Sort(has)
	return slices.Compact(has)
}

func readJSON(ctx context.Context, cs content.Provider, d ocispec.Descriptor, into any) error {
	data, err := content.ReadBlob(ctx, cs, d)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// List returns the images of this node, sorted by name.
func (h *Host) List(ctx context.Context) ([]host.Image, error) {
	all, err := h.client.ImageService().List(h.scoped(ctx))
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	list := make([]host.Image, 0, len(all))
	for _, img := range all {
		list = append(list, h.images.describe(h.scoped(ctx), img))
	}
	slices.SortFunc(list, func(a, b host.Image) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func (s *imageStore) describe(ctx context.Context, img images.Image) host.Image {
	return host.Image{
		Name: img.Name, Digest: img.Target.Digest.String(), Size: s.size(ctx, img.Target),
		Platforms: s.platformsOf(ctx, img.Target), Created: img.CreatedAt,
		Pinned: img.Labels[labelPinned] != "", Status: s.lacks(ctx, img.Target),
	}
}

// size adds up the content that is here.
func (s *imageStore) size(ctx context.Context, target ocispec.Descriptor) int64 {
	cs := s.client.ContentStore()
	seen := map[string]bool{}
	var total int64
	_ = images.Walk(ctx, images.HandlerFunc(func(ctx context.Context, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		if seen[d.Digest.String()] {
			return nil, images.ErrSkipDesc
		}
		seen[d.Digest.String()] = true
		info, err := cs.Info(ctx, d.Digest)
		if err != nil {
			return nil, images.ErrSkipDesc
		}
		total += info.Size
		return images.Children(ctx, cs, d)
	}), target)
	return total
}

// Remove deletes an image by name or digest.
func (h *Host) Remove(ctx context.Context, ref string) error {
	ctx = h.scoped(ctx)
	found, err := h.images.named(ctx, ref)
	if err != nil {
		return fmt.Errorf("remove image %s: %w", ref, err)
	}
	containers, err := h.client.ContainerService().List(ctx)
	if err != nil {
		return fmt.Errorf("remove image %s: %w", ref, err)
	}
	for _, img := range found {
		for _, c := range containers {
			if c.Labels[labelDigest] == img.Target.Digest.String() || c.Image == img.Name {
				return fmt.Errorf("remove image %s: task %s uses it", ref, c.ID)
			}
		}
	}
	for _, img := range found {
		err := h.client.ImageService().Delete(ctx, img.Name, images.SynchronousDelete())
		if err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("remove image %s: %w", ref, err)
		}
	}
	return nil
}

// named finds images by name, or all names of a digest.
func (s *imageStore) named(ctx context.Context, ref string) ([]images.Image, error) {
	if strings.HasPrefix(ref, "sha256:") {
		found, err := s.client.ImageService().List(ctx, "target.digest=="+ref)
		if err == nil && len(found) == 0 {
			err = host.ErrNotFound
		}
		return found, err
	}
	name, err := imageName(ref, "")
	if err != nil {
		return nil, err
	}
	img, err := s.client.ImageService().Get(ctx, name)
	if errdefs.IsNotFound(err) {
		return nil, host.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return []images.Image{img}, nil
}

var errNoImage = errors.New("the archive has no image with a name")
