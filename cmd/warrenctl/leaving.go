package warrenctl

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

// leaving are objects on their way out: what was deleted, and the tasks of deleted services.
type leaving struct {
	keys []meta.Key
	uids map[meta.Key]int64 // nil: nothing is waited for
	left map[meta.Key]bool
}

// find remembers which incarnations are about to be deleted.
func (w *leaving) find(ctx context.Context, s *grpcstore.Store) error {
	w.uids = map[meta.Key]int64{}
	for _, key := range w.keys {
		o, err := s.Get(ctx, key)
		switch {
		case err == nil:
			w.uids[key] = o.Meta().UID
		case !errors.Is(err, store.ErrNotFound): // the commit says which are missing
			return err
		}
	}
	return nil
}

// concerns tells whether an object has to go: it was deleted itself, or its owner was.
func (w *leaving) concerns(o meta.Object) bool {
	uid, deleted := w.uids[o.Key()]
	owner := o.Meta().Owner
	ownerUID, orphan := w.uids[meta.Key{Kind: owner.Kind, Name: owner.Name}]
	return deleted && uid == o.Meta().UID || orphan && ownerUID == owner.UID
}

// wait returns when all of them are gone.
func (w *leaving) wait(ctx context.Context, p *program, s *grpcstore.Store, most time.Duration) error {
	if w.uids == nil {
		return nil
	}
	kinds := []string{v1.TaskKind.Name}
	for _, k := range kindsOf(w.keys) {
		kinds = append(kinds, k.Name)
	}
	timed, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	err := p.changes(timed, s.Only(kinds...), func(all []meta.Object) error {
		for _, o := range all {
			w.take(o.Key(), o)
		}
		return w.state()
	}, func(c store.Change) error {
		w.take(c.Key, c.Object)
		return w.state()
	})
	switch {
	case errors.Is(err, errSettled):
		return nil
	case late(ctx, timed, err):
		var names []string
		for _, key := range slices.SortedFunc(maps.Keys(w.left), byKey) {
			names = append(names, lower(key.Kind, key.Name))
		}
		return &exit{error: fmt.Errorf("not gone after %s: %s", most, strings.Join(names, ", ")), code: codeLate}
	}
	return err
}

func (w *leaving) take(key meta.Key, o meta.Object) {
	delete(w.left, key)
	if o != nil && w.concerns(o) {
		w.left[key] = true
	}
}

func (w *leaving) state() error {
	if len(w.left) == 0 {
		return errSettled
	}
	return nil
}
