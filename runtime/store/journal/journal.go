// Package journal is the store of a node whose managers are elsewhere. The node's agent reads and writes a copy in memory that
// is always there; what the managers say comes into it, what the agent reports goes out from it, when they can be reached. Both
// are kept on disk, so that a node that starts without any manager knows what it has to run.
//
// The managers' word holds: an object is what they have, with those fields over it that this node has changed and they have not
// heard of yet. Where they have removed an object or made it anew, what the node wanted to report of it is void. Nothing is taken
// from managers that have not the node's own cluster, or an older state of it than was seen already.
package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
)

// Config says what a Store is made of.
type Config struct {
	// Dir is the directory on disk; it is made. Node and Cluster are written into it: what is there of others is not used.
	Dir, Node, Cluster string
	Kinds              meta.Kinds
	// Remote is the managers' store.
	Remote store.Store
	// Volatile are kinds that are not kept on disk.
	Volatile []string
	// Anchor is an object without which nothing is believed; Same tells whether it is the right one.
	Anchor meta.Key
	Same   func(meta.Object) error
	// Patience is how long managers are waited for at the start, before what is on disk is used.
	Patience time.Duration
	Log      logr.Logger
}

// ErrForeign means that managers were reached that are not this node's.
var ErrForeign = errors.New("the managers are of another cluster")

// errOld means that managers were reached that know less than was seen already.
var errOld = errors.New("the managers have an older state than this node has seen")

// history is how many changes can be watched from the past.
const history = 256

// Store implements store.Store. Make one with Open, and let Run work for it.
type Store struct {
	config Config
	file   *file
	known  bool // there was something on disk

	mu      sync.Mutex
	rev     store.Revision // of this copy; it has nothing to do with the managers'
	seen    store.Revision // the managers' that was taken in last
	entries map[meta.Key]*entry
	buried  map[meta.Key]store.Revision // what this node removed, until the watch tells of it
	log     []store.Batch
	changed chan struct{} // closed and renewed with each change
	alone   time.Time     // since when no manager was heard; zero while one is
	strange error         // why those that were reached are not obeyed
	behind  error         // why the disk is behind
	unkept  map[meta.Key]bool

	begun sync.Once
	ready chan struct{}
	out   chan struct{} // something is to be reported
	down  chan struct{} // something is to be kept
}

// entry is one object.
type entry struct {
	base meta.Object // as the managers have it; nil: they do not
	mine patch       // what they have not heard of yet
	gone bool        // removed here, which they have not heard of yet
	view meta.Object // what is seen here; nil: nothing
	hold time.Time   // they refused it; not tried again before this
	told string      // what was logged of that
}

func (e *entry) pending() bool { return e.gone || len(e.mine) > 0 }

// Open reads what is on disk. Damage is logged; what is good is used.
func Open(c Config) *Store {
	s := &Store{config: c, entries: map[meta.Key]*entry{}, buried: map[meta.Key]store.Revision{}, unkept: map[meta.Key]bool{},
		changed: make(chan struct{}), ready: make(chan struct{}), out: make(chan struct{}, 1), down: make(chan struct{}, 1)}
	if s.file = openFile(onDisk(c.Dir), header{Format: format, Node: c.Node, Cluster: c.Cluster}); s.file.damage != nil {
		c.Log.Error(s.file.damage, "journal is damaged; its good part is used", "dir", c.Dir)
	}
	// Beyond all that a process before this one gave out, so that nobody who watches takes new for old.
	s.rev, s.seen, s.alone = time.Now().UnixMilli(), s.file.seen, s.file.at
	if s.alone.IsZero() {
		s.alone = time.Now()
	}
	for key, r := range s.file.records {
		if e, err := c.entry(key, r); err != nil {
			c.Log.Error(err, "journal has what cannot be read; going on without", "object", key.String())
		} else {
			s.entries[key] = e
			s.place(e, e.wanted(c.Kinds, key))
		}
	}
	s.known = len(s.entries) > 0
	return s
}

func (c Config) entry(key meta.Key, r record) (e *entry, err error) {
	e = &entry{mine: r.Mine, gone: r.Gone}
	if r.Base != nil {
		if e.base, err = object(c.Kinds, key, r.Base); err != nil {
			return nil, err
		}
	}
	_, err = e.make(c.Kinds, key)
	return e, err
}

// make is what shall be seen of an entry.
func (e *entry) make(kinds meta.Kinds, key meta.Key) (meta.Object, error) {
	if e.gone || e.base == nil && len(e.mine) == 0 {
		return nil, nil
	}
	if len(e.mine) == 0 {
		return e.base, nil
	}
	var doc patch
	if e.base != nil {
		var err error
		if doc, err = docOf(e.base); err != nil {
			return nil, err
		}
	}
	return object(kinds, key, merge(doc, e.mine))
}

// wanted is make where the managers' word holds if the node's own cannot be read.
func (e *entry) wanted(kinds meta.Kinds, key meta.Key) meta.Object {
	o, err := e.make(kinds, key)
	if err != nil {
		e.mine = nil
		return e.base
	}
	return o
}

// place puts what is seen of an entry, at the revision of now.
func (s *Store) place(e *entry, o meta.Object) {
	if e.view = o; o != nil {
		e.view = o.Clone()
		e.view.Meta().Revision = s.rev
	}
}

// Await waits until there is something to begin with: the managers' word, or after a while what is on disk.
func (s *Store) Await(ctx context.Context) error {
	select {
	case <-s.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) begin() { s.begun.Do(func() { close(s.ready) }) }

// Alone is since when what is seen here may be old; zero while the managers are heard.
func (s *Store) Alone() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alone
}

// Health is why this copy is not as it should be: managers that are not obeyed, or a disk that cannot be written.
func (s *Store) Health() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.strange, s.behind)
}

// Unreported is how many objects are to be reported to the managers.
func (s *Store) Unreported() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		if e.pending() {
			n++
		}
	}
	return n
}

var errNothing = fmt.Errorf("%w: no manager has answered yet", store.ErrUnavailable)

// Get implements store.Store.
func (s *Store) Get(_ context.Context, key meta.Key) (meta.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.entries) == 0 {
		return nil, errNothing
	}
	if e := s.entries[key]; e != nil && e.view != nil {
		return e.view, nil
	}
	return nil, fmt.Errorf("%s: %w", key, store.ErrNotFound)
}

// List implements store.Store.
func (s *Store) List(context.Context) ([]meta.Object, store.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.entries) == 0 {
		return nil, 0, errNothing
	}
	out := make([]meta.Object, 0, len(s.entries))
	for _, e := range s.entries {
		if e.view != nil {
			out = append(out, e.view)
		}
	}
	slices.SortFunc(out, func(a, b meta.Object) int { return order(a.Key(), b.Key()) })
	return out, s.rev, nil
}

func order(a, b meta.Key) int {
	switch {
	case meta.Less(a, b):
		return -1
	case meta.Less(b, a):
		return 1
	}
	return 0
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
				batches = []store.Batch{{Err: err}}
			}
			for _, b := range batches {
				select {
				case out <- b:
				case <-ctx.Done():
					return
				}
				after = b.Revision
			}
			if err != nil {
				return
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

func (s *Store) since(after store.Revision) ([]store.Batch, error) {
	n := int(s.rev - after)
	if n < 0 || n > len(s.log) {
		return nil, store.ErrCompacted
	}
	return s.log[len(s.log)-n:], nil
}

// tell makes changes known to those who watch, at the revision that they have.
func (s *Store) tell(changes []store.Change) {
	s.log = append(s.log, store.Batch{Revision: s.rev, Changes: changes})
	if len(s.log) > 2*history {
		s.log = append([]store.Batch(nil), s.log[len(s.log)-history:]...)
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
