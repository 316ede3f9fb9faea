package containerd

import (
	"context"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/images"
)

// useKept is how far the time of last use on disk may be behind the one in memory: a task that is started again and again
// shall not write each time.
const useKept = time.Hour

// lastUses is when images were used, by digest.
type lastUses struct {
	// removing is held for writing while the collector chooses and removes an image, for reading while somebody looks for one:
	// whoever looks has said before that it is wanted.
	removing sync.RWMutex
	nudge    func() // told that something was used; may be nil

	mu sync.Mutex
	at map[string]time.Time
}

func (l *lastUses) last(digest string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at[digest]
}

func (l *lastUses) set(digest string, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at == nil {
		l.at = map[string]time.Time{}
	}
	l.at[digest] = at
}

// forget drops what is known of an image that is gone.
func (l *lastUses) forget(digest string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.at, digest)
}

// usedAt is what the disk says of the last use of an image.
func usedAt(img images.Image) time.Time {
	at, _ := time.Parse(time.RFC3339, img.Labels[labelUsed])
	return at
}

// touch notes that an image, by digest or full name, was used until now.
func (s *imageStore) touch(ctx context.Context, what string) {
	found, err := s.named(ctx, what)
	if err != nil {
		return // it is not here
	}
	for _, img := range found {
		s.touched(ctx, img)
	}
}

// touched notes that an image was used just now. What cannot be written is known until the next start at least.
func (s *imageStore) touched(ctx context.Context, img images.Image) {
	now := time.Now()
	s.uses.set(img.Target.Digest.String(), now)
	if now.Sub(usedAt(img)).Abs() >= useKept {
		_ = s.setLabels(ctx, img.Name, map[string]string{labelUsed: now.UTC().Format(time.RFC3339)})
	}
	if s.uses.nudge != nil {
		s.uses.nudge()
	}
}
