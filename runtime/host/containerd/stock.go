package containerd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/images"
)

// stored is an image of the node with all its names, as the collector sees it.
type stored struct {
	digest string
	names  []string
	used   time.Time // last
	needed string    // by whom, in one word; empty: by nobody
}

// Who needs an image.
const (
	byTask    = "in use by tasks"
	byService = "of services"
	byPin     = "pinned"
	byArchive = "from the images directory"
	byPull    = "being fetched"
	byAge     = "used a moment ago"
)

// oldest finds the image to remove next, or says how many are needed for what.
func oldest(all []stored, now time.Time, age time.Duration) (victim *stored, left string) {
	counts := map[string]int{}
	for i, s := range all {
		switch {
		case s.needed != "":
			counts[s.needed]++
		case now.Sub(s.used).Abs() < age: // a time that lies ahead is another clock's
			counts[byAge]++
		case victim == nil || s.used.Before(victim.used):
			victim = &all[i]
		}
	}
	var parts []string
	for _, why := range []string{byTask, byService, byPin, byArchive, byPull, byAge} {
		if counts[why] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[why], why))
		}
	}
	if len(parts) == 0 {
		return victim, "there is none"
	}
	return victim, strings.Join(parts, ", ")
}

// stock reads what there is and who needs it. errBusy: that cannot be said now.
func (c *collector) stock(ctx context.Context) (all []stored, err error) {
	wanted, err := c.h.wanted()
	if err != nil {
		return nil, err
	}
	used, err := c.h.images.used(ctx)
	if err != nil {
		return nil, err
	}
	list, err := c.h.client.ImageService().List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	byDigest := map[string]*stored{}
	for _, img := range list {
		digest := img.Target.Digest.String()
		s := byDigest[digest]
		if s == nil {
			s = &stored{digest: digest, used: c.h.images.uses.last(digest)}
			byDigest[digest] = s
		}
		s.names = append(s.names, img.Name)
		s.used = latest(s.used, img.CreatedAt, usedAt(img))
		s.needed = cmp.Or(s.needed, c.why(img, used, wanted))
	}
	for _, s := range byDigest {
		slices.Sort(s.names)
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b stored) int { return strings.Compare(a.digest, b.digest) })
	return all, nil
}

// why tells who needs an image by this name.
func (c *collector) why(img images.Image, used, wanted map[string]bool) string {
	digest := img.Target.Digest.String()
	switch {
	case used[digest] || wanted[digest] || wanted[img.Name]:
		return byTask
	case c.protects(img):
		return byService
	case img.Labels[labelPinned] != "":
		return byPin
	case len(archivesOf(img)) > 0:
		return byArchive
	case c.h.images.underway(img.Name):
		return byPull
	}
	return ""
}

// wanted are the images of all tasks that shall run here, by digest and by name. errBusy: it is not known yet, or images are
// being imported, which have no user yet.
func (h *Host) wanted() (map[string]bool, error) {
	h.images.mu.Lock()
	busy := h.images.imports > 0
	h.images.mu.Unlock()
	h.gc.mu.Lock()
	busy = busy || !h.gc.told
	h.gc.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if busy || !h.ready || !h.known {
		return nil, errBusy
	}
	wanted := map[string]bool{}
	for _, u := range h.units {
		if u.want == nil {
			continue
		}
		wanted[u.want.ImageDigest] = true
		if name, err := imageName(u.want.Template.Image, ""); err == nil {
			wanted[name] = true
		}
		wanted[pinnedDigest(u.want.Template.Image, u.want.ImageDigest)] = true
	}
	delete(wanted, "")
	return wanted, nil
}

// underway tells whether a name is being pulled.
func (s *imageStore) underway(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flights[name] != nil
}

func latest(times ...time.Time) time.Time {
	return slices.MaxFunc(times, func(a, b time.Time) int { return a.Compare(b) })
}

// few names a list that may be long.
func few(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
