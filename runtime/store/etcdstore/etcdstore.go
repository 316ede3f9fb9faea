// Package etcdstore keeps resources in etcd: one key for each, one etcd transaction for each commit, one watch over all.
//
// The key of Service/web is /warren/v1/Service/web, its value the resource as JSON. Uid and revision are not in the value:
// they are etcd's create and mod revision of the key.
//
// What cannot be decoded (written by a newer version, or damaged) must not look as if it were gone, because somebody would
// then stop or replace what belongs to it. So:
//   - Get returns an UnreadableError.
//   - List returns all other objects and an UnreadableError that names the keys. Who acts on the cluster takes that as a
//     failure and leaves everything as it is; who only shows it can show the rest.
//   - Watch leaves the change out of its batch: readers keep the last version that they could read, and a write over it
//     conflicts. All other changes are delivered.
//   - Commit needs to read nothing, so such an object can always be overwritten or deleted with the guard Any.
//
// Kinds that this program does not know at all, and kinds named as expendable, are left out of lists without an error:
// nobody here acts on them. Every unreadable object is reported once for each of its revisions through Options.Unreadable.
package etcdstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
)

const (
	// Root is the prefix of every key of Warren. All of it is watched, so that each revision gives a batch.
	Root    = "/warren/"
	objects = Root + "v1/"
	// pageSize is how many objects are read at once; a list of more is read at one revision in several steps.
	pageSize = 1000
)

// Options of a Store. The zero value is right.
type Options struct {
	// Down is asked before each read and commit; its error is the answer. For an etcd that would not answer any more.
	Down func() error
	// Gate is asked before each commit; its error refuses it. For conditions that etcd must not be driven into.
	Gate func() error
	// Attend, if set, is asked before each read and commit that needs a majority: it may wait, or refuse. It returns the
	// context to go on with, which it ends, with a cause, when no answer can be expected any more, and what to call after.
	Attend func(context.Context) (context.Context, func(), error)
	// Unreadable is told of every object that cannot be decoded, once for each of its revisions.
	Unreadable func(key string, err error)
	// Expendable names kinds whose unreadable objects are left out of lists as if they were not there.
	Expendable []string
	// Done is told of every commit that was to write something, also if it was refused: for metrics.
	Done func(store.Outcome)
}

// Store is a store.Store in etcd.
type Store struct {
	client   *clientv3.Client
	kinds    meta.Kinds
	options  Options
	fence    *fence
	local    bool
	reported *reported
}

// fence is the key whose revision every commit demands.
type fence struct {
	key string
	rev store.Revision
}

// New returns the store behind a client. The client stays the caller's.
func New(client *clientv3.Client, kinds meta.Kinds, options Options) *Store {
	return &Store{client: client, kinds: kinds, options: options, reported: &reported{revs: map[string]int64{}}}
}

// Fenced returns the same store whose commits succeed only while a key is at a revision, else fail with store.ErrFenced.
func (s *Store) Fenced(key string, rev store.Revision) *Store {
	c := *s
	c.fence = &fence{key, rev}
	return &c
}

// Local returns the same store whose reads are answered from this member's disk, with or without a majority: whole, in
// order and from one revision, but perhaps old.
func (s *Store) Local() *Store {
	c := *s
	c.local = true
	return &c
}

// Get implements store.Store. The answer is linearizable, but for a local store.
func (s *Store) Get(ctx context.Context, key meta.Key) (meta.Object, error) {
	if err := ask(s.options.Down); err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	resp, err := s.fetch(ctx, pathOf(key))
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	if len(resp.Kvs) == 0 {
		return nil, fmt.Errorf("%s: %w", key, store.ErrNotFound)
	}
	kv := resp.Kvs[0]
	o, err := s.decode(key, kv.Value, kv.CreateRevision, kv.ModRevision)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, &UnreadableError{Keys: []meta.Key{key}, Cause: err})
	}
	return o, nil
}

// List implements store.Store. See the package for unreadable objects.
func (s *Store) List(ctx context.Context) ([]meta.Object, store.Revision, error) {
	if err := ask(s.options.Down); err != nil {
		return nil, 0, fmt.Errorf("list: %w", err)
	}
	for range 3 {
		all, rev, err := s.listOnce(ctx)
		if !errors.Is(err, store.ErrCompacted) { // history went away between two pages
			return all, rev, err
		}
	}
	return s.listOnce(ctx)
}

func (s *Store) listOnce(ctx context.Context) ([]meta.Object, store.Revision, error) {
	var (
		all []meta.Object
		bad UnreadableError
		rev store.Revision
	)
	err := s.pages(ctx, objects, &rev, func(resp *clientv3.GetResponse) error {
		all = slices.Grow(all, int(resp.Count)) // what is left of the range, this page included
		for _, kv := range resp.Kvs {
			if o, err := s.read(kv); err == nil {
				all = append(all, o)
			} else {
				s.skip(&bad, string(kv.Key), err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return all, rev, bad.orNil()
}

// pages reads what is below a prefix, all of it at one revision: at that of the first page when rev is 0, which it is set to.
func (s *Store) pages(ctx context.Context, prefix string, rev *store.Revision, each func(*clientv3.GetResponse) error) error {
	from, end := prefix, clientv3.GetPrefixRangeEnd(prefix)
	for {
		resp, err := s.fetch(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(pageSize), clientv3.WithRev(*rev))
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		if *rev == 0 {
			*rev = resp.Header.Revision
		}
		if err := each(resp); err != nil || !resp.More {
			return err
		}
		from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
}

// ask calls a function of the options if there is one.
func ask(f func() error) error {
	if f == nil {
		return nil
	}
	return f()
}

func pathOf(key meta.Key) string { return objects + key.Kind + "/" + key.Name }

func keyOf(path string) (meta.Key, bool) {
	rest, ok := strings.CutPrefix(path, objects)
	kind, name, cut := strings.Cut(rest, "/")
	return meta.Key{Kind: kind, Name: name}, ok && cut && kind != "" && name != ""
}

// encode writes an object without what etcd knows better.
func encode(o meta.Object) ([]byte, error) {
	o = o.Clone()
	m := o.Meta()
	m.UID, m.Revision = 0, 0
	return meta.Encode(o)
}

func (s *Store) decode(key meta.Key, value []byte, uid, rev store.Revision) (meta.Object, error) {
	k, ok := s.kinds.ByName(key.Kind)
	if !ok {
		return nil, errUnknownKind
	}
	o := k.New()
	if err := json.Unmarshal(value, o); err != nil {
		return nil, err
	}
	if o.Key() != key {
		return nil, fmt.Errorf("the value says that it is %s", o.Key())
	}
	m := o.Meta()
	m.UID, m.Revision = uid, rev
	return o, nil
}

// reported remembers what was told already.
type reported struct {
	sync.Mutex
	revs map[string]int64
}

func (r *reported) first(key string, rev int64) bool {
	r.Lock()
	defer r.Unlock()
	if r.revs[key] == rev {
		return false
	}
	r.revs[key] = rev
	return true
}
