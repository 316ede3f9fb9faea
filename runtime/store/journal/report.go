package journal

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
)

const (
	// atOnce is how many objects are reported in one commit.
	atOnce = 20
	// refusedFor is the wait after a report was refused.
	refusedFor = 30 * time.Second
)

// report tells the managers what they have not heard of, until that fails for another reason than what is told.
func (s *Store) report(ctx context.Context) error {
	for {
		keys, wait := s.due(time.Now())
		for len(keys) > 0 {
			n := min(len(keys), atOnce)
			if err := s.send(ctx, keys[:n]); err != nil {
				return err
			}
			keys = keys[n:]
		}
		var again <-chan time.Time
		if wait > 0 {
			again = time.After(wait)
		}
		select {
		case <-s.out:
		case <-again:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// due are the objects to report now, and when to look for more at the latest; 0 for no such time.
func (s *Store) due(now time.Time) (keys []meta.Key, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, e := range s.entries {
		switch left := e.hold.Sub(now); {
		case !e.pending():
		case left <= 0:
			keys = append(keys, key)
		case wait == 0 || left < wait:
			wait = left
		}
	}
	slices.SortFunc(keys, order)
	return keys, wait
}

// sent is what was sent of an object.
type sent struct {
	key    meta.Key
	object meta.Object // nil: its removal
}

// send reports some objects together, and if that is refused each by itself.
func (s *Store) send(ctx context.Context, keys []meta.Key) error {
	ops, what := s.ops(keys)
	if len(ops) == 0 {
		return nil
	}
	rev, err := s.config.Remote.Commit(ctx, ops...)
	switch {
	case err == nil:
		s.heard(what, rev)
		return nil
	case ctx.Err() != nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUnknown):
		return err // a list will tell what came of it
	case len(ops) == 1:
		s.refused(what[0].key, err)
		return nil
	}
	for _, x := range what {
		if err := s.send(ctx, []meta.Key{x.key}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) ops(keys []meta.Key) (ops []store.Op, what []sent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		e := s.entries[key]
		if e == nil || !e.pending() {
			continue
		}
		guard := store.Absent
		if e.base != nil {
			guard = e.base.Meta().Revision
		}
		if e.gone {
			ops, what = append(ops, store.Op{Verb: store.Delete, Key: key, Guard: guard}), append(what, sent{key, nil})
			continue
		}
		o := e.view.Clone()
		if o.Meta().Revision, o.Meta().UID = guard, 0; e.base != nil {
			o.Meta().UID = e.base.Meta().UID
		}
		ops, what = append(ops, store.Op{Verb: store.Put, Key: key, Object: o, Guard: guard}), append(what, sent{key, o})
	}
	return ops, what
}

// heard notes what the managers have now, unless the watch has told of newer already.
func (s *Store) heard(what []sent, rev store.Revision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rev++
	var changes []store.Change
	for _, x := range what {
		e := s.entries[x.key]
		switch {
		case e == nil || e.base != nil && e.base.Meta().Revision >= rev:
		case x.object == nil:
			s.buried[x.key] = rev
			changes = append(changes, s.rebase(x.key, e, nil)...)
		default:
			o := x.object.Clone()
			if o.Meta().Revision = rev; e.base == nil {
				o.Meta().UID = rev
			}
			next := *e
			next.base = o
			next.mine, _ = over(o, e.viewOr(o))
			changes = append(changes, s.set(x.key, &next, next.wanted(s.config.Kinds, x.key))...)
		}
	}
	s.tellIf(changes)
}

// viewOr is what is seen here with the uid that it has got, or the other where nothing is.
func (e *entry) viewOr(o meta.Object) meta.Object {
	if e.view == nil {
		return o
	}
	v := e.view.Clone()
	v.Meta().UID = o.Meta().UID
	return v
}

// refused keeps what the managers do not take, and says so once. After a conflict the watch tells what there is; then, or in a
// while, it is tried again.
func (s *Store) refused(key meta.Key, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[key]
	if e == nil {
		return
	}
	if errors.Is(err, store.ErrConflict) {
		e.hold = time.Now().Add(late)
		return
	}
	e.hold = time.Now().Add(refusedFor)
	if e.told != err.Error() {
		e.told = err.Error()
		s.config.Log.Error(err, "the managers do not take what this node reports; trying again", "object", key.String(), "wait", refusedFor.String())
	}
}

// keyed is the newest state of some objects, for the disk.
func (s *Store) keyed() (map[meta.Key]*entry, store.Revision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[meta.Key]*entry, len(s.unkept))
	for key := range s.unkept {
		if slices.Contains(s.config.Volatile, key.Kind) {
			continue
		}
		if e := s.entries[key]; e != nil {
			c := *e
			c.mine = maps.Clone(e.mine)
			out[key] = &c
		} else {
			out[key] = nil
		}
	}
	clear(s.unkept)
	return out, s.seen
}
