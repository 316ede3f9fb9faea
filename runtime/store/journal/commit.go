package journal

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
)

// Commit implements store.Store. It is done when it is seen here; the managers are told in a moment, or when they can be reached.
func (s *Store) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.entries) == 0 {
		return 0, errNothing
	}
	next := map[meta.Key]*entry{}
	for _, op := range ops {
		e, err := s.try(op)
		if err != nil {
			return 0, err
		}
		if e != nil {
			next[op.Key] = e
		}
	}
	s.rev++
	var changes []store.Change
	for _, key := range slices.SortedFunc(maps.Keys(next), order) {
		e := next[key]
		changes = append(changes, s.set(key, e, e.view)...)
	}
	if s.tellIf(changes) {
		wake(s.out)
	}
	return s.rev, nil
}

// try is what an operation makes of an entry, nil for nothing. It changes nothing.
func (s *Store) try(op store.Op) (*entry, error) {
	e := s.entries[op.Key]
	if e == nil {
		e = &entry{}
	}
	have := store.Absent
	if e.view != nil {
		have = e.view.Meta().Revision
	}
	if op.Guard != store.Any && op.Guard != have {
		return nil, &store.ConflictError{Key: op.Key, Want: op.Guard, Have: have}
	}
	out := *e
	switch op.Verb {
	case store.Delete:
		out.mine, out.gone, out.view = nil, e.base != nil, nil
		return &out, nil
	case store.Put:
		o := op.Object.Clone()
		if o.Meta().UID = 0; e.view != nil {
			o.Meta().UID = e.view.Meta().UID
		}
		mine, err := over(e.base, o)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", op.Key, err)
		}
		out.mine, out.gone, out.view = mine, false, o
		return &out, nil
	}
	return nil, nil
}

// over is the patch by which an object differs from the managers'.
func over(base, o meta.Object) (patch, error) {
	to, err := docOf(o)
	if err != nil || base == nil {
		return to, err
	}
	from, err := docOf(base)
	if err != nil {
		return nil, err
	}
	return diff(from, to), nil
}

// set puts an entry in its place and returns what changed for those who look. The revision must be a new one.
func (s *Store) set(key meta.Key, e *entry, view meta.Object) []store.Change {
	old := s.entries[key]
	s.unkept[key] = true
	wake(s.down)
	var was meta.Object
	if old != nil {
		was = old.view
	}
	if e.base == nil && !e.gone && view == nil {
		delete(s.entries, key)
		e = nil
	} else {
		s.entries[key] = e
	}
	switch {
	case was == nil && view == nil:
		if e != nil {
			e.view = nil
		}
		return nil
	case was != nil && view != nil && alike(was, view):
		e.view = was
		return nil
	case view == nil:
		if e != nil {
			e.view = nil
		}
		return []store.Change{{Key: key}}
	}
	s.place(e, view)
	return []store.Change{{Key: key, Object: e.view}}
}

// alike tells whether two objects differ in nothing but their revision.
func alike(a, b meta.Object) bool {
	return !slices.ContainsFunc(meta.Diff(a, b), func(path string) bool { return path != "metadata.revision" })
}

// tellIf makes changes known, or gives the revision back where there are none.
func (s *Store) tellIf(changes []store.Change) bool {
	if len(changes) == 0 {
		s.rev--
		return false
	}
	s.tell(changes)
	return true
}
