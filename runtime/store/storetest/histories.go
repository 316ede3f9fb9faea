package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// noLostUpdate: writers who guard what they read can count together.
func (s *suite) noLostUpdate() {
	const writers, each = 8, 25
	key := keyOf("Service", "counter")
	s.commit(store.CreateOp(service("counter")))
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for n := 0; n < each && !s.Failed(); {
				if s.increment(key) {
					n++
				}
			}
		})
	}
	all.Wait()
	if got := s.get(key).(*v1.Service).Status.Count; got != writers*each {
		s.Fatalf("counted %d, want %d", got, writers*each)
	}
}

func (s *suite) increment(key meta.Key) bool {
	o, err := s.Get(s.Context(), key)
	if err != nil {
		s.Errorf("get: %v", err)
		return false
	}
	c := o.Clone().(*v1.Service)
	c.Status.Count++
	_, err = s.Commit(s.Context(), store.UpdateOp(c))
	if err != nil && !errors.Is(err, store.ErrConflict) {
		s.Errorf("commit: %v", err)
	}
	return err == nil
}

// writeSkew: of two commits that each check what the other one writes, one is refused.
func (s *suite) writeSkew() {
	for round := range 50 {
		a, b := fmt.Sprintf("a%d", round), fmt.Sprintf("b%d", round)
		take := func(mine, other string) error {
			_, err := s.Commit(s.Context(), store.CreateOp(service(mine)),
				store.Op{Verb: store.Check, Key: keyOf("Service", other), Guard: store.Absent})
			return err
		}
		var errs [2]error
		var both sync.WaitGroup
		both.Go(func() { errs[0] = take(a, b) })
		both.Go(func() { errs[1] = take(b, a) })
		both.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			s.Fatalf("round %d: %v and %v; exactly one must succeed", round, errs[0], errs[1])
		}
	}
}

// randomHistory plays commits from a seed against the store and a model of it: same answers, same end; and a list
// with the watch after it gives the same end from any point. WARREN_STORE_SEED repeats a failure.
func (s *suite) randomHistory() {
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("WARREN_STORE_SEED"); v != "" {
		seed, _ = strconv.ParseUint(v, 10, 64)
	}
	s.Logf("WARREN_STORE_SEED=%d", seed)
	m := &model{Rand: rand.New(rand.NewPCG(seed, 1)), objects: map[meta.Key]meta.Object{}}
	type start struct {
		at   []meta.Object
		tail <-chan store.Batch
	}
	var starts []start
	for i := range 300 {
		if i%60 == 0 {
			all, rev := s.list()
			starts = append(starts, start{all, s.watch(rev)})
		}
		s.step(m)
	}
	end, head := s.list()
	if err := same(end, sorted(m.objects)); err != nil {
		s.Fatalf("the store differs from the model: %v", err)
	}
	for i, x := range starts {
		if err := same(replay(x.at, s.until(x.tail, head)), end); err != nil {
			s.Fatalf("list and watch from point %d differ from the final list: %v", i, err)
		}
	}
}

// step makes one random commit and compares its outcome with the model's.
func (s *suite) step(m *model) {
	s.Helper()
	ops := m.ops()
	bad, ok := m.conflict(ops)
	rev, err := s.Commit(s.Context(), ops...)
	if ok {
		if err != nil {
			s.Fatalf("commit %v: %v", ops, err)
		}
		m.apply(ops, rev)
		return
	}
	var c *store.ConflictError
	if !errors.As(err, &c) || c.Key != bad {
		s.Fatalf("commit %v: got %v, want a conflict on %s", ops, err, bad)
	}
}

// model is what a store should be, as simple as can be.
type model struct {
	*rand.Rand
	objects map[meta.Key]meta.Object
}

func (m *model) ops() []store.Op {
	used := map[meta.Key]bool{}
	var ops []store.Op
	for range 1 + m.IntN(5) {
		op := store.Op{Verb: store.Verb(m.IntN(3))}
		name := fmt.Sprintf("x%d", m.IntN(12))
		var o meta.Object = service(name)
		if m.IntN(2) == 0 {
			o = task(name, fmt.Sprintf("n%d", m.IntN(9)))
		}
		if op.Key = o.Key(); used[op.Key] {
			continue
		}
		used[op.Key] = true
		if op.Verb == store.Put {
			op.Object = o
		}
		op.Guard = m.guard(op.Key)
		ops = append(ops, op)
	}
	return append(ops, store.Op{Verb: store.Put, Key: keyOf("Node", "n"), Object: meta.New[v1.Node]("n"), Guard: store.Any})
}

// guard is most often one that holds.
func (m *model) guard(key meta.Key) store.Revision {
	switch n := m.IntN(20); {
	case n == 0:
		return store.Absent
	case n == 1:
		return 1 // no object has this revision: a store starts there
	case n < 8:
		return store.Any
	}
	return m.revision(key)
}

func (m *model) revision(key meta.Key) store.Revision {
	if o, ok := m.objects[key]; ok {
		return o.Meta().Revision
	}
	return store.Absent
}

func (m *model) conflict(ops []store.Op) (meta.Key, bool) {
	for _, op := range ops {
		if op.Guard != store.Any && op.Guard != m.revision(op.Key) {
			return op.Key, false
		}
	}
	return meta.Key{}, true
}

func (m *model) apply(ops []store.Op, rev store.Revision) {
	for _, op := range ops {
		switch op.Verb {
		case store.Put:
			o := op.Object.Clone()
			o.Meta().UID, o.Meta().Revision = rev, rev
			if old, ok := m.objects[op.Key]; ok {
				o.Meta().UID = old.Meta().UID
			}
			m.objects[op.Key] = o
		case store.Delete:
			delete(m.objects, op.Key)
		}
	}
}
