package manifest

import (
	"context"
	"fmt"
	"time"
)

// Lookout watches a directory of other files than manifests, in the same way as a Follower does.
type Lookout struct {
	Dir string
	// Files lists the files of a directory that are of interest. Links on the way to them are followed.
	Files func(dir string) ([]string, error)
	// Look is called at the start and when something may have changed, after a pause in which nothing did. It returns when
	// it shall be called again; 0 means only on the next change.
	Look func(context.Context) time.Duration
	// Again, if not nil, makes it look, too.
	Again <-chan struct{}
	Pace  Pace
}

// Run watches until ctx ends, and returns its error.
func (l *Lookout) Run(ctx context.Context) error {
	w, err := newWatch(l.Dir)
	if err != nil {
		return fmt.Errorf("watch %s: %w", l.Dir, err)
	}
	w.files = l.Files
	defer w.close()
	for pace := l.Pace.orDefault(); ctx.Err() == nil; {
		w.renew() // before looking, so that no later change is missed
		after := l.Look(ctx)
		l.wait(ctx, w, after)
		w.quiet(ctx, pace.Quiet)
	}
	return ctx.Err()
}

// wait returns when there is reason to look again.
func (l *Lookout) wait(ctx context.Context, w *watch, most time.Duration) {
	if l.Again == nil {
		w.wait(ctx, most)
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-l.Again:
			cancel()
		case <-ctx.Done():
		}
	}()
	w.wait(ctx, most)
	cancel()
	<-done
}
