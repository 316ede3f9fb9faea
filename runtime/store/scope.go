package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"warren.io/warren/apis/meta"
)

// Rights are what somebody may see and write.
type Rights struct {
	// Kinds are those that anything may be seen of.
	Kinds []string
	// Shows returns what is seen of an object: itself, a copy with less in it, or nil.
	Shows func(meta.Object) meta.Object
	// Fixed are kinds of which an object that is not seen now was not seen before either: nothing has to be said about it.
	Fixed []string
	// Writes returns why a change may not be made, or nil. old is nil at creation, new at removal; find looks into the store.
	Writes func(old, new meta.Object, find func(meta.Key) (meta.Object, error)) error
}

// Scope returns a store with somebody's rights. What is not seen is not found; a write beyond the rights is ErrForbidden, and
// nothing of its commit is done.
func Scope(inner Store, r Rights) Store { return &scoped{inner, r} }

type scoped struct {
	inner  Store
	rights Rights
}

func (s *scoped) shows(o meta.Object) meta.Object {
	if !slices.Contains(s.rights.Kinds, o.Key().Kind) {
		return nil
	}
	return s.rights.Shows(o)
}

// Get implements Store.
func (s *scoped) Get(ctx context.Context, key meta.Key) (meta.Object, error) {
	if !slices.Contains(s.rights.Kinds, key.Kind) {
		return nil, fmt.Errorf("%s: %w", key, ErrNotFound)
	}
	o, err := s.inner.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	if o = s.shows(o); o == nil {
		return nil, fmt.Errorf("%s: %w", key, ErrNotFound)
	}
	return o, nil
}

// List implements Store.
func (s *scoped) List(ctx context.Context) ([]meta.Object, Revision, error) {
	all, rev, err := s.inner.List(ctx)
	var out []meta.Object
	for _, o := range all {
		if o = s.shows(o); o != nil {
			out = append(out, o)
		}
	}
	return out, rev, err
}

// Watch implements Store. Every commit comes through, as with a View.
func (s *scoped) Watch(ctx context.Context, after Revision) <-chan Batch {
	in, out := s.inner.Watch(ctx, after), make(chan Batch)
	go func() {
		defer close(out)
		for b := range in {
			b.Changes = s.narrow(b.Changes)
			select {
			case out <- b:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func (s *scoped) narrow(changes []Change) []Change {
	var out []Change
	for _, c := range changes {
		if !slices.Contains(s.rights.Kinds, c.Key.Kind) {
			continue
		}
		if c.Object != nil {
			if c.Object = s.rights.Shows(c.Object); c.Object == nil && slices.Contains(s.rights.Fixed, c.Key.Kind) {
				continue
			}
		}
		out = append(out, c)
	}
	return out
}

// Commit implements Store. What was looked at when a write was judged is what it is written over: the guards see to that.
func (s *scoped) Commit(ctx context.Context, ops ...Op) (Revision, error) {
	indifferent := slices.ContainsFunc(ops, func(o Op) bool { return o.Guard == Any })
	for try := 0; ; try++ {
		judged, err := s.judge(ctx, ops)
		if err != nil {
			return 0, err
		}
		rev, err := s.inner.Commit(ctx, judged...)
		if err == nil || !indifferent || try == retries || !errors.Is(err, ErrConflict) {
			return rev, err
		}
	}
}

func (s *scoped) judge(ctx context.Context, ops []Op) ([]Op, error) {
	find := func(k meta.Key) (meta.Object, error) { return s.inner.Get(ctx, k) }
	out := slices.Clone(ops)
	for i, op := range ops {
		if !slices.Contains(s.rights.Kinds, op.Key.Kind) {
			return nil, fmt.Errorf("%s: %w", op.Key, ErrForbidden)
		}
		old, err := find(op.Key)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		have := Absent
		if old != nil && err == nil {
			have = old.Meta().Revision
		} else {
			old = nil
		}
		if err := s.judgeOne(op, old, have, find); err != nil {
			return nil, err
		}
		out[i].Guard = have
	}
	return out, nil
}

func (s *scoped) judgeOne(op Op, old meta.Object, have Revision, find func(meta.Key) (meta.Object, error)) error {
	if op.Guard != Any && op.Guard != have {
		return &ConflictError{Key: op.Key, Want: op.Guard, Have: have}
	}
	if op.Verb == Check {
		if old != nil && s.rights.Shows(old) == nil {
			return fmt.Errorf("check %s: %w: it is of others", op.Key, ErrForbidden)
		}
		return nil
	}
	if op.Verb == Delete {
		op.Object = nil
	} else if op.Object == nil || op.Object.Key() != op.Key {
		return fmt.Errorf("write %s: %w: the object that is written has another name or kind", op.Key, ErrForbidden)
	}
	if old == nil && op.Object == nil {
		return nil // gone already
	}
	if err := s.rights.Writes(old, op.Object, find); err != nil {
		return fmt.Errorf("write %s: %w: %w", op.Key, ErrForbidden, err)
	}
	return nil
}
