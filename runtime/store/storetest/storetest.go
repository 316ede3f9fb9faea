// Package storetest is the one suite that every store.Store must pass, whatever it is made of.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// patience is how long a test waits for something that should happen at once. It is long because machines are slow at times.
const patience = 30 * time.Second

// Compactor is what a store may offer beside store.Store: forget all history now. Without it the tests of ErrCompacted are left out.
type Compactor interface{ Compact() }

// Run checks a kind of store. Open returns a new, empty store and cleans up after it with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	tests := []struct {
		name string
		run  func(*suite)
	}{
		{"Empty", (*suite).empty},
		{"GetWhatWasPut", (*suite).getWhatWasPut},
		{"ListInOrder", (*suite).listInOrder},
		{"Pack", (*suite).pack},
		{"ListLarge", (*suite).listLarge},
		{"Revisions", (*suite).revisions},
		{"CallerKeepsItsObject", (*suite).callerKeepsItsObject},
		{"HundredOps", (*suite).hundredOps},
		{"TooLarge", (*suite).tooLarge},
		{"EndedContext", (*suite).endedContext},
		{"GuardAbsent", (*suite).guardAbsent},
		{"GuardRevision", (*suite).guardRevision},
		{"GuardAny", (*suite).guardAny},
		{"Check", (*suite).check},
		{"AllOrNothing", (*suite).allOrNothing},
		{"ConflictNamesTheKey", (*suite).conflictNamesTheKey},
		{"WatchWholeCommitsInOrder", (*suite).watchWhole},
		{"WatchFromThePast", (*suite).watchPast},
		{"WatchSeveral", (*suite).watchSeveral},
		{"WatchCancel", (*suite).watchCancel},
		{"WatchReachesEveryRevision", (*suite).watchReaches},
		{"WatchDeleteAndRecreate", (*suite).watchRecreate},
		{"WatchSlowReader", (*suite).watchSlow},
		{"Compacted", (*suite).compacted},
		{"NoLostUpdate", (*suite).noLostUpdate},
		{"WriteSkew", (*suite).writeSkew},
		{"RandomHistory", (*suite).randomHistory},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) { x.run(&suite{T: t, Store: open(t)}) })
	}
}

// suite is one test with its store.
type suite struct {
	*testing.T
	store.Store
}

func service(name string) *v1.Service {
	s := meta.New[v1.Service](name)
	s.Spec.Image = "hello:1"
	s.Spec.Default()
	return s
}

func task(name, node string) *v1.Task {
	x := meta.New[v1.Task](name)
	x.Spec.Service, x.Spec.Node = "web", node
	return x
}

func keyOf(kind, name string) meta.Key { return meta.Key{Kind: kind, Name: name} }

// commit must succeed.
func (s *suite) commit(ops ...store.Op) store.Revision {
	s.Helper()
	rev, err := s.Commit(s.Context(), ops...)
	if err != nil {
		s.Fatalf("commit: %v", err)
	}
	return rev
}

// refuse demands that a commit fails with an error of a class.
func (s *suite) refuse(class error, ops ...store.Op) error {
	s.Helper()
	_, err := s.Commit(s.Context(), ops...)
	if !errors.Is(err, class) {
		s.Fatalf("commit: got error %v, want %v", err, class)
	}
	return err
}

func (s *suite) get(key meta.Key) meta.Object {
	s.Helper()
	o, err := s.Get(s.Context(), key)
	if err != nil {
		s.Fatalf("get %s: %v", key, err)
	}
	return o
}

func (s *suite) missing(key meta.Key) {
	s.Helper()
	if o, err := s.Get(s.Context(), key); !errors.Is(err, store.ErrNotFound) {
		s.Fatalf("get %s: got %v, %v; want ErrNotFound", key, o, err)
	}
}

func (s *suite) list() ([]meta.Object, store.Revision) {
	s.Helper()
	all, rev, err := s.List(s.Context())
	if err != nil {
		s.Fatalf("list: %v", err)
	}
	return all, rev
}

func (s *suite) head() store.Revision {
	s.Helper()
	_, rev := s.list()
	return rev
}

func text(o meta.Object) string {
	if o == nil {
		return "nothing"
	}
	data, err := meta.Encode(o)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// same compares two lists of objects in every field.
func same(got, want []meta.Object) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d objects, want %d", len(got), len(want))
	}
	for i := range got {
		if a, b := text(got[i]), text(want[i]); a != b {
			return fmt.Errorf("object %d is\n  %s, want\n  %s", i, a, b)
		}
	}
	return nil
}

// next returns the next batch of a watch.
func (s *suite) next(w <-chan store.Batch) store.Batch {
	s.Helper()
	select {
	case b, ok := <-w:
		if !ok {
			s.Fatal("the watch ended")
		}
		return b
	case <-time.After(patience):
		s.Fatal("the watch delivers nothing")
	}
	return store.Batch{}
}

// until reads a watch up to a revision and checks on the way that revisions grow.
func (s *suite) until(w <-chan store.Batch, rev store.Revision) []store.Batch {
	s.Helper()
	var out []store.Batch
	for last := store.Revision(0); last < rev; {
		b := s.next(w)
		if b.Err != nil {
			s.Fatalf("watch: %v", b.Err)
		}
		if b.Revision <= last {
			s.Fatalf("watch: revision %d after %d", b.Revision, last)
		}
		last = b.Revision
		out = append(out, b)
	}
	return out
}

// watch opens a watch that ends with the test.
func (s *suite) watch(after store.Revision) <-chan store.Batch { return s.Watch(s.Context(), after) }

// deadline bounds loops that wait for a condition.
func (s *suite) deadline() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.Context(), patience)
}
