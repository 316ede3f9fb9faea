// Package memstore keeps resources in memory: for tests, simulation and dry runs. It is the reference for store.Store.
package memstore

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/btree"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
)

// history is how many commits can be watched from the past.
const history = 4096

// Store is a store.Store in memory. Make one with New.
type Store struct {
	mu      sync.Mutex
	rev     store.Revision
	objects *btree.BTreeG[meta.Object]
	log     []store.Batch // the newest commits, oldest first
	changed chan struct{} // closed and renewed with each commit
}

// New returns an empty store at revision 1, with the given objects put in by one commit if there are any.
func New(objects ...meta.Object) *Store {
	s := &Store{rev: 1, changed: make(chan struct{}), objects: btree.NewG(32, less)}
	ops := make([]store.Op, len(objects))
	for i, o := range objects {
		ops[i] = store.CreateOp(o)
	}
	if len(ops) > 0 {
		if _, err := s.apply(ops); err != nil {
			panic(fmt.Sprintf("memstore: %v", err)) // the caller's own objects contradict each other
		}
	}
	return s
}

func less(a, b meta.Object) bool { return meta.Less(a.Key(), b.Key()) }

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key meta.Key) (meta.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, ok := s.find(key); ok {
		return o, nil
	}
	return nil, fmt.Errorf("%s: %w", key, store.ErrNotFound)
}

func (s *Store) find(key meta.Key) (meta.Object, bool) { return s.objects.Get(meta.Probe(key)) }

// List implements store.Store.
func (s *Store) List(ctx context.Context) ([]meta.Object, store.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]meta.Object, 0, s.objects.Len())
	s.objects.Ascend(func(o meta.Object) bool { out = append(out, o); return true })
	return out, s.rev, nil
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	for _, op := range ops {
		if err := fits(op); err != nil {
			return 0, err
		}
	}
	return s.apply(ops)
}

// fits refuses what a store that writes to disk would refuse, so that simulations meet the same limit.
func fits(op store.Op) error {
	if op.Verb != store.Put {
		return nil
	}
	data, err := meta.Encode(op.Object)
	if err != nil {
		return err
	}
	if len(data) > store.MaxObject {
		return fmt.Errorf("%s: %d bytes: %w", op.Key, len(data), store.ErrTooLarge)
	}
	return nil
}

func (s *Store) apply(ops []store.Op) (store.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	writes := 0
	for _, op := range ops {
		if err := s.check(op); err != nil {
			return 0, err
		}
		if op.Verb != store.Check {
			writes++
		}
	}
	if writes == 0 {
		return s.rev, nil
	}
	s.rev++
	b := store.Batch{Revision: s.rev}
	for _, op := range ops {
		if c, ok := s.write(op); ok {
			b.Changes = append(b.Changes, c)
		}
	}
	s.log = append(s.log, b)
	if len(s.log) > 2*history {
		s.log = append([]store.Batch(nil), s.log[len(s.log)-history:]...)
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return s.rev, nil
}

func (s *Store) check(op store.Op) error {
	if op.Guard == store.Any {
		return nil
	}
	have := store.Absent
	if o, ok := s.find(op.Key); ok {
		have = o.Meta().Revision
	}
	if have != op.Guard {
		return &store.ConflictError{Key: op.Key, Want: op.Guard, Have: have}
	}
	return nil
}

func (s *Store) write(op store.Op) (store.Change, bool) {
	switch op.Verb {
	case store.Put:
		o := op.Object.Clone()
		m := o.Meta()
		m.Revision, m.UID = s.rev, s.rev
		if old, ok := s.find(op.Key); ok {
			m.UID = old.Meta().UID
		}
		s.objects.ReplaceOrInsert(o)
		return store.Change{Key: op.Key, Object: o}, true
	case store.Delete:
		if _, ok := s.objects.Delete(meta.Probe(op.Key)); ok {
			return store.Change{Key: op.Key}, true
		}
	}
	return store.Change{}, false
}

// Since returns the commits after a revision, or ErrCompacted. Watch without goroutines, for the simulation.
func (s *Store) Since(after store.Revision) ([]store.Batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since(after)
}

func (s *Store) since(after store.Revision) ([]store.Batch, error) {
	n := int(s.rev - after)
	if n <= 0 {
		return nil, nil
	}
	if n > len(s.log) {
		return nil, store.ErrCompacted
	}
	return s.log[len(s.log)-n:], nil
}

// Compact forgets the past, as a real store does from time to time.
func (s *Store) Compact() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = nil
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, after store.Revision) <-chan store.Batch {
	out := make(chan store.Batch)
	go func() {
		defer close(out)
		for {
			s.mu.Lock()
			batches, err := s.since(after)
			changed := s.changed
			s.mu.Unlock()
			if err != nil {
				send(ctx, out, store.Batch{Err: err})
				return
			}
			for _, b := range batches {
				if !send(ctx, out, b) {
					return
				}
				after = b.Revision
			}
			if len(batches) > 0 {
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func send(ctx context.Context, out chan<- store.Batch, b store.Batch) bool {
	select {
	case out <- b:
		return true
	case <-ctx.Done():
		return false
	}
}
