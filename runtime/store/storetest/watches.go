package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
)

// describe writes a batch as sorted words: +Task/a is there, -Task/b is gone.
func describe(b store.Batch) string {
	var words []string
	for _, c := range b.Changes {
		sign := "+"
		if c.Object == nil {
			sign = "-"
		} else if c.Object.Key() != c.Key || c.Object.Meta().Revision != b.Revision {
			sign = "?"
		}
		words = append(words, sign+c.Key.String())
	}
	slices.Sort(words)
	return fmt.Sprint(words)
}

func (s *suite) expect(b store.Batch, rev store.Revision, want string) {
	s.Helper()
	if b.Err != nil || b.Revision != rev || describe(b) != want {
		s.Fatalf("batch %d %s (error %v), want %d %s", b.Revision, describe(b), b.Err, rev, want)
	}
}

func (s *suite) watchWhole() {
	w := s.watch(s.head())
	one := s.commit(store.CreateOp(task("a", "")), store.CreateOp(task("b", "")), store.CreateOp(service("web")))
	a, b := s.get(keyOf("Task", "a")), s.get(keyOf("Task", "b"))
	two := s.commit(store.UpdateOp(a), store.DeleteOp(b), store.Op{Verb: store.Check, Key: keyOf("Service", "web"), Guard: one})
	three := s.commit(store.CreateOp(task("c", "")))
	s.expect(s.next(w), one, "[+Service/web +Task/a +Task/b]")
	s.expect(s.next(w), two, "[+Task/a -Task/b]")
	s.expect(s.next(w), three, "[+Task/c]")
}

func (s *suite) watchPast() {
	start := s.head()
	var revs []store.Revision
	for i := range 50 {
		revs = append(revs, s.commit(store.CreateOp(task(fmt.Sprintf("a%d", i), "")), store.CreateOp(task(fmt.Sprintf("b%d", i), ""))))
	}
	w := s.watch(start)
	for i, rev := range revs {
		s.expect(s.next(w), rev, fmt.Sprintf("[+Task/a%d +Task/b%d]", i, i))
	}
	live := s.commit(store.CreateOp(task("live", "")))
	s.expect(s.next(w), live, "[+Task/live]")
	middle := s.watch(revs[24])
	s.expect(s.next(middle), revs[25], "[+Task/a25 +Task/b25]")
}

// watchSeveral: watchers that start before, during and after many concurrent commits all see the same history.
func (s *suite) watchSeveral() {
	start := s.head()
	watches := []<-chan store.Batch{s.watch(start), s.watch(start)}
	var writers sync.WaitGroup
	for i := range 4 {
		writers.Go(func() {
			for j := range 25 {
				s.commitAsync(store.CreateOp(task(fmt.Sprintf("t-%d-%d", i, j), "")), store.CreateOp(service(fmt.Sprintf("s-%d-%d", i, j))))
			}
		})
	}
	watches = append(watches, s.watch(start))
	writers.Wait()
	watches = append(watches, s.watch(start))
	head := s.head()
	var first []string
	for i, w := range watches {
		var history []string
		for _, b := range s.until(w, head) {
			history = append(history, fmt.Sprint(b.Revision, describe(b)))
		}
		if i == 0 {
			first = history
		}
		if !slices.Equal(history, first) {
			s.Fatalf("watcher %d saw\n%v, the first saw\n%v", i, history, first)
		}
	}
}

// commitAsync is commit for goroutines other than the test's own.
func (s *suite) commitAsync(ops ...store.Op) store.Revision {
	rev, err := s.Commit(s.Context(), ops...)
	if err != nil {
		s.Errorf("commit: %v", err)
	}
	return rev
}

func (s *suite) watchCancel() {
	ctx, cancel := context.WithCancel(s.Context())
	w, other := s.Watch(ctx, s.head()), s.watch(s.head())
	rev := s.commit(store.CreateOp(task("a", "")))
	s.expect(s.next(w), rev, "[+Task/a]")
	cancel()
	for limit := time.After(patience); ; {
		select {
		case _, open := <-w:
			if open {
				continue
			}
			s.expect(s.next(other), rev, "[+Task/a]")
			return
		case <-limit:
			s.Fatal("the channel is not closed after the context ended")
		}
	}
}

// watchReaches: whoever waits for the revision that a commit returned does not wait forever, even when it changed nothing.
func (s *suite) watchReaches() {
	w := s.watch(s.head())
	reach := func(rev store.Revision) { s.until(w, rev) }
	made := s.commit(store.CreateOp(service("web")))
	reach(made)
	w = s.watch(made)
	nothing := s.commit(store.Op{Verb: store.Check, Key: keyOf("Service", "web"), Guard: made})
	if nothing > made {
		reach(nothing)
		w = s.watch(nothing)
	}
	empty := s.commit(store.Op{Verb: store.Delete, Key: keyOf("Service", "none"), Guard: store.Any})
	if empty > made {
		reach(empty)
	}
	last := s.commit(store.UpdateOp(s.get(keyOf("Service", "web"))))
	batches := s.until(w, last)
	s.expect(batches[len(batches)-1], last, "[+Service/web]")
}

func (s *suite) watchRecreate() {
	key := keyOf("Service", "web")
	w := s.watch(s.head())
	made := s.commit(store.CreateOp(service("web")))
	gone := s.commit(store.DeleteOp(s.get(key)))
	again := s.commit(store.CreateOp(service("web")))
	s.expect(s.next(w), made, "[+Service/web]")
	s.expect(s.next(w), gone, "[-Service/web]")
	b := s.next(w)
	s.expect(b, again, "[+Service/web]")
	if uid := b.Changes[0].Object.Meta().UID; uid != again {
		s.Fatalf("uid %d after a new creation at %d", uid, again)
	}
}

// watchSlow: a reader that takes nothing for a while holds up nobody and misses nothing.
func (s *suite) watchSlow() {
	w := s.watch(s.head())
	first := s.commit(store.CreateOp(service("web")))
	last := first
	for range 500 {
		last = s.commit(store.Op{Verb: store.Put, Key: keyOf("Service", "web"), Object: service("web"), Guard: last})
	}
	if got := len(s.until(w, last)); got != 501 {
		s.Fatalf("%d batches, want 501", got)
	}
}

func (s *suite) compacted() {
	c, ok := s.Store.(Compactor)
	if !ok {
		s.Skip("this store has no Compact")
	}
	start := s.head()
	s.commit(store.CreateOp(service("web")))
	s.commit(store.CreateOp(service("api")))
	c.Compact()
	w := s.watch(start)
	if b := s.next(w); b.Err != store.ErrCompacted {
		s.Fatalf("got %+v, want ErrCompacted", b)
	}
	select {
	case b, open := <-w:
		if open {
			s.Fatalf("batch %+v after the last one", b)
		}
	case <-time.After(patience):
		s.Fatal("the channel is not closed after its error")
	}
	all, head := s.list()
	if len(all) != 2 {
		s.Fatalf("%d objects after compaction", len(all))
	}
	w = s.watch(head)
	rev := s.commit(store.CreateOp(service("new")))
	s.expect(s.next(w), rev, "[+Service/new]")
}

// replay applies batches to a list, as a snapshot does.
func replay(from []meta.Object, batches []store.Batch) []meta.Object {
	state := map[meta.Key]meta.Object{}
	for _, o := range from {
		state[o.Key()] = o
	}
	for _, b := range batches {
		for _, c := range b.Changes {
			if c.Object == nil {
				delete(state, c.Key)
				continue
			}
			state[c.Key] = c.Object
		}
	}
	return sorted(state)
}

func sorted(state map[meta.Key]meta.Object) []meta.Object {
	out := make([]meta.Object, 0, len(state))
	for _, o := range state {
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b meta.Object) int {
		if meta.Less(a.Key(), b.Key()) {
			return -1
		}
		return 1
	})
	return out
}
