package journal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
)

// Bounds of the wait before managers that were lost are asked again.
const (
	soon = 50 * time.Millisecond
	late = time.Second
)

// Run keeps the copy in step with the managers, and the disk with the copy, until ctx ends. What is not kept by then is kept.
func (s *Store) Run(ctx context.Context) {
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		s.keepAll(ctx)
	}()
	if s.known {
		t := time.AfterFunc(s.config.Patience, s.begin)
		defer t.Stop()
	}
	for wait := soon; ctx.Err() == nil; {
		held, err := s.session(ctx)
		if s.lost(ctx, held, err); held {
			wait = soon
		}
		if !errors.Is(err, store.ErrCompacted) {
			pause(ctx, wait)
			wait = min(2*wait, late)
		}
	}
	<-kept
}

// lost notes the end of a session.
func (s *Store) lost(ctx context.Context, held bool, err error) {
	if ctx.Err() != nil || errors.Is(err, store.ErrCompacted) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	strange := errors.Is(err, ErrForeign) || errors.Is(err, errOld)
	if held || strange && (s.strange == nil || s.strange.Error() != err.Error()) {
		s.config.Log.Error(err, "view of the managers is lost; going on with what this node knows")
	}
	if s.strange = nil; strange {
		s.strange = err
	}
	if held && s.alone.IsZero() {
		s.alone = time.Now()
	}
}

// session is one view of the managers' store, from a list on. held tells whether there was one.
func (s *Store) session(ctx context.Context) (held bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all, rev, err := s.config.Remote.List(ctx)
	if err != nil {
		return false, err
	}
	if err := s.takeAll(all, rev); err != nil {
		return false, err
	}
	s.begin()
	failed := make(chan error, 1)
	go func() { failed <- s.report(ctx) }()
	watch := s.config.Remote.Watch(ctx, rev)
	for {
		select {
		case b, ok := <-watch:
			if err := s.take(b, ok); err != nil {
				return true, err
			}
		case err := <-failed:
			return true, err
		case <-ctx.Done():
			return true, ctx.Err()
		}
	}
}

// takeAll takes in a list. What is not in it is gone, but for what was made here.
func (s *Store) takeAll(all []meta.Object, rev store.Revision) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	theirs := make(map[meta.Key]meta.Object, len(all))
	for _, o := range all {
		theirs[o.Key()] = o
	}
	if err := s.trust(theirs[s.config.Anchor]); err != nil {
		return err
	}
	if rev < s.seen {
		return fmt.Errorf("%w: revision %d, and %d was seen", errOld, rev, s.seen)
	}
	keys := slices.Collect(maps.Keys(theirs))
	for key, e := range s.entries {
		if theirs[key] == nil && e.base != nil {
			keys = append(keys, key)
		}
	}
	clear(s.buried)
	s.adopt(keys, theirs, rev)
	if !s.alone.IsZero() {
		s.config.Log.Info("managers are seen", "revision", rev, "objects", len(all))
	}
	s.alone, s.strange = time.Time{}, nil
	for _, e := range s.entries {
		e.hold = time.Time{}
	}
	wake(s.out)
	return nil
}

// trust refuses managers that are not this node's.
func (s *Store) trust(anchor meta.Object) error {
	if anchor == nil {
		return fmt.Errorf("%w: they have no %s", ErrForeign, s.config.Anchor)
	}
	if err := s.config.Same(anchor); err != nil {
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return nil
}

// take takes in a commit.
func (s *Store) take(b store.Batch, ok bool) error {
	if !ok {
		return fmt.Errorf("the watch ended: %w", store.ErrUnavailable)
	}
	if b.Err != nil {
		return b.Err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []meta.Key
	theirs := map[meta.Key]meta.Object{}
	for _, c := range b.Changes {
		if c.Key == s.config.Anchor {
			if err := s.trust(c.Object); err != nil {
				return err
			}
		}
		if s.past(c) {
			continue
		}
		keys = append(keys, c.Key)
		theirs[c.Key] = c.Object
	}
	maps.DeleteFunc(s.buried, func(_ meta.Key, at store.Revision) bool { return at <= b.Revision })
	s.adopt(keys, theirs, b.Revision)
	return nil
}

// past tells whether a change is older than what this node itself did to the object.
func (s *Store) past(c store.Change) bool {
	if c.Object == nil {
		return false
	}
	rev := c.Object.Meta().Revision
	if e := s.entries[c.Key]; e != nil && e.base != nil && rev < e.base.Meta().Revision {
		return true
	}
	return rev < s.buried[c.Key]
}

// adopt lets the managers' word hold for some objects; nil is for those that are gone.
func (s *Store) adopt(keys []meta.Key, theirs map[meta.Key]meta.Object, rev store.Revision) {
	s.rev++
	s.seen = max(s.seen, rev)
	slices.SortFunc(keys, order)
	var changes []store.Change
	for _, key := range keys {
		if e := s.entries[key]; e != nil || theirs[key] != nil {
			changes = append(changes, s.rebase(key, e, theirs[key])...)
		}
	}
	s.tellIf(changes)
	wake(s.out)
}

// rebase puts what this node has to report of an object over what the managers have now.
func (s *Store) rebase(key meta.Key, e *entry, theirs meta.Object) []store.Change {
	next := &entry{base: theirs}
	switch {
	case e == nil || theirs == nil:
	case e.base == nil: // made here, and there already
		next.mine = maps.Clone(e.mine)
		delete(next.mine, "metadata")
	case e.base.Meta().UID == theirs.Meta().UID:
		next.mine, next.gone = e.mine, e.gone && !theirs.Meta().Deleted.IsZero()
		if next.told = e.told; e.told != "" {
			next.hold = e.hold
		}
	}
	view := next.wanted(s.config.Kinds, key)
	if len(next.mine) > 0 && view != nil {
		next.mine, _ = over(theirs, view) // without what they have heard by now
	}
	return s.set(key, next, view)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
