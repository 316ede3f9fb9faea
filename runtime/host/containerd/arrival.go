package containerd

import (
	"context"

	v1 "warren.io/warren/apis/v1"
)

// arrival is closed when the next image comes by another way than a pull. Ask before looking for an image, so that none
// comes unseen.
func (s *imageStore) arrival() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.arrived
}

// arrive tells all who wait for an image to look again.
func (s *imageStore) arrive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.arrived)
	s.arrived = make(chan struct{})
}

// pullUnless pulls, and gives up when the image came by another way meanwhile: somebody imports it because no registry answers.
func (s *imageStore) pullUnless(ctx context.Context, t v1.TaskTemplate, pinned string, came <-chan struct{}) (*image, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-came:
			if _, err := s.find(ctx, t.Image, pinned); err == nil {
				cancel()
			}
		case <-ctx.Done():
		}
	}()
	img, err := s.pull(ctx, t.Image, pinned)
	if err != nil && s.uses.nudge != nil {
		s.uses.nudge() // what came may have filled the disk
	}
	return img, err
}
