package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"warren.io/warren/apis/meta"
)

// MaxUserOps bounds one commit of a person: an apply of a whole directory is one commit.
const MaxUserOps = 1000

// ErrForbidden is returned for a write that nobody from outside may do.
var ErrForbidden = errors.New("not allowed")

// InvalidError says what is wrong with an object.
type InvalidError struct {
	Key meta.Key
	meta.Problems
}

func (e *InvalidError) Error() string { return fmt.Sprintf("%s: %s", e.Key, e.Problems.Error()) }

// Admit returns the store as people see it. What they write is given its defaults and checked; status, generation and the
// other metadata that belong to the system stay what they were, whatever the written object says.
func Admit(inner Store, kinds meta.Kinds, now func() time.Time) Store {
	return &admitted{Store: inner, kinds: kinds, now: now}
}

type admitted struct {
	Store
	kinds meta.Kinds
	now   func() time.Time
}

// retries of a commit whose writer did not care what was there: status changes under it are no conflict of his.
const retries = 5

// Commit implements Store.
func (a *admitted) Commit(ctx context.Context, ops ...Op) (Revision, error) {
	if len(ops) > MaxUserOps {
		return 0, fmt.Errorf("commit of %d objects: %w: at most %d in one commit", len(ops), ErrTooLarge, MaxUserOps)
	}
	indifferent := slices.ContainsFunc(ops, func(o Op) bool { return o.Guard == Any })
	for try := 0; ; try++ {
		admitted, err := a.admitAll(ctx, ops)
		if err != nil {
			return 0, err
		}
		rev, err := a.Store.Commit(ctx, admitted...)
		if err == nil || !indifferent || try == retries || !errors.Is(err, ErrConflict) {
			return rev, err
		}
	}
}

func (a *admitted) admitAll(ctx context.Context, ops []Op) ([]Op, error) {
	out := make([]Op, 0, len(ops))
	var wrong []error
	for _, op := range ops {
		done, err := a.admit(ctx, op)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		out = append(out, done)
	}
	return out, errors.Join(wrong...)
}

func (a *admitted) admit(ctx context.Context, op Op) (Op, error) {
	kind, ok := a.kinds.ByName(op.Key.Kind)
	if !ok {
		return op, fmt.Errorf("%s: %w: unknown kind", op.Key, ErrForbidden)
	}
	if op.Verb == Check {
		return op, nil
	}
	old, err := a.Store.Get(ctx, op.Key)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return op, err
	}
	if op.Verb == Delete {
		return a.deletion(kind, op, old)
	}
	return a.change(kind, op, old)
}

func (a *admitted) deletion(kind *meta.Kind, op Op, old meta.Object) (Op, error) {
	switch {
	case !kind.UserWrites && !kind.UserDeletes:
		return op, fmt.Errorf("delete %s: %w: this kind is removed by the system only", op.Key, ErrForbidden)
	case old == nil:
		return op, fmt.Errorf("%s: %w", op.Key, ErrNotFound)
	}
	if kind.Removable != nil {
		if why := kind.Removable(old); why != "" {
			return op, fmt.Errorf("delete %s: %w: %s", op.Key, ErrForbidden, why)
		}
	}
	if op.Guard == Any {
		op.Guard = old.Meta().Revision
	}
	if len(old.Meta().Finalizers) == 0 {
		return op, nil
	}
	marked := old.Clone()
	if marked.Meta().Deleted.IsZero() {
		marked.Meta().Deleted = a.now().UTC()
	}
	return Op{Verb: Put, Key: op.Key, Object: marked, Guard: op.Guard}, nil
}

func (a *admitted) change(kind *meta.Kind, op Op, old meta.Object) (Op, error) {
	switch {
	case !kind.Written():
		return op, fmt.Errorf("write %s: %w: this kind is written by the system only", op.Key, ErrForbidden)
	case !kind.UserWrites && old == nil:
		return op, fmt.Errorf("write %s: %w: this kind is made by the system; people change what is there", op.Key, ErrForbidden)
	}
	if op.Object == nil || op.Object.Key() != op.Key {
		return op, fmt.Errorf("write %s: %w: the object that is written has another name or kind", op.Key, ErrForbidden)
	}
	o := op.Object.Clone()
	o.SetDefaults()
	invalid := &InvalidError{Key: op.Key}
	o.Validate(&invalid.Problems)
	if kind.Fixed != nil && old != nil {
		kind.Fixed(old, o, &invalid.Problems)
	}
	if invalid.Err() != nil {
		return op, invalid
	}
	if err := a.inherit(kind, o, old); err != nil {
		return op, err
	}
	op.Object = o
	if op.Guard == Any {
		op.Guard = Absent
		if old != nil {
			op.Guard = old.Meta().Revision
		}
	}
	data, err := meta.Encode(o)
	if err == nil && len(data) > MaxObject {
		err = fmt.Errorf("%s: %w: %d bytes; at most %d are allowed", op.Key, ErrTooLarge, len(data), MaxObject)
	}
	return op, err
}

// inherit takes from the old object what a user cannot write.
func (a *admitted) inherit(kind *meta.Kind, o, old meta.Object) error {
	m := o.Meta()
	if old == nil {
		empty := kind.New()
		meta.CopyStatus(o, empty)
		m.UID, m.Revision, m.Generation, m.Created = 0, 0, 1, a.now().UTC()
		m.Deleted, m.Finalizers, m.Owner = time.Time{}, nil, meta.Owner{}
		return nil
	}
	was := old.Meta()
	if !was.Deleted.IsZero() {
		return fmt.Errorf("write %s: %w: it is being deleted; wait until it is gone", o.Key(), ErrConflict)
	}
	meta.CopyStatus(o, old)
	m.UID, m.Revision, m.Generation, m.Created = was.UID, was.Revision, was.Generation, was.Created
	m.Deleted, m.Finalizers, m.Owner = was.Deleted, was.Finalizers, was.Owner
	if meta.SpecChanged(old, o) {
		m.Generation++
	}
	return nil
}
