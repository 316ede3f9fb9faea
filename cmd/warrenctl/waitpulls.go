package warrenctl

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

// follow lets what is shown tell how far images are that services wait for, until the returned function is called. A node
// that does not know this, or is away, is no reason to stop waiting.
func (w *waiting) follow(ctx context.Context, s *grpcstore.Store) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			err := s.WatchPulls(ctx, w.fetched)
			if ctx.Err() != nil || !errors.Is(err, store.ErrUnavailable) {
				return
			}
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// fetched takes news of pulls.
func (w *waiting) fetched(all []host.Pull) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pulls = all
	if len(w.services) > 0 {
		w.draw()
	}
	return nil
}

// fetching says which images a service waits for: with numbers on a terminal, where they can be written over.
func (w *waiting) fetching(s *v1.Service) string {
	text, seen := "", map[string]bool{}
	tasks := w.tasks[s.Metadata.Name]
	for _, name := range meta.SortedKeys(tasks) {
		t := tasks[name]
		u, ok := pullFor(w.pulls, t.Spec.Image)
		if !ok || t.Status.Phase != v1.TaskPreparing || seen[t.Spec.Image] {
			continue
		}
		seen[t.Spec.Image] = true
		if w.p.live {
			first, rest, _ := strings.Cut(pullStatus(u), " ")
			text += strings.TrimRight(", "+strings.ToLower(first)+" "+t.Spec.Image+" "+rest, " ")
			continue
		}
		text += ", pulling " + t.Spec.Image
	}
	if text == "" {
		return ""
	}
	return clean(text)
}
