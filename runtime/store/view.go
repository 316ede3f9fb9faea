package store

import (
	"context"
	"fmt"

	"warren.io/warren/apis/meta"
)

// View returns the part of a store for which visible holds. An object that leaves the view looks deleted, one that enters it
// looks new. Commits pass as they are.
func View(inner Store, visible func(meta.Object) bool) Store { return &view{inner, visible} }

type view struct {
	Store
	visible func(meta.Object) bool
}

// Get implements Store.
func (v *view) Get(ctx context.Context, key meta.Key) (meta.Object, error) {
	o, err := v.Store.Get(ctx, key)
	if err == nil && !v.visible(o) {
		return nil, fmt.Errorf("%s: %w", key, ErrNotFound)
	}
	return o, err
}

// List implements Store.
func (v *view) List(ctx context.Context) ([]meta.Object, Revision, error) {
	all, rev, err := v.Store.List(ctx)
	var out []meta.Object
	for _, o := range all {
		if v.visible(o) {
			out = append(out, o)
		}
	}
	return out, rev, err
}

// Watch implements Store. Every commit comes through, even if nothing of it is visible, so that whoever waits for a revision
// sees it come.
func (v *view) Watch(ctx context.Context, after Revision) <-chan Batch {
	in, out := v.Store.Watch(ctx, after), make(chan Batch)
	go func() {
		defer close(out)
		for b := range in {
			b.Changes = Narrow(b.Changes, v.visible)
			select {
			case out <- b:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// Narrow turns changes of what is not visible into disappearances: whoever never saw the object ignores them.
func Narrow(changes []Change, visible func(meta.Object) bool) []Change {
	out := make([]Change, 0, len(changes))
	for _, c := range changes {
		if c.Object != nil && !visible(c.Object) {
			c.Object = nil
		}
		out = append(out, c)
	}
	return out
}
