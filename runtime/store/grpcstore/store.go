package grpcstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/server/api"
	"warren.io/warren/runtime/store"
)

// Store implements store.Store over a connection. Its methods are safe for concurrent use.
type Store struct {
	*Conn
	filter Filter
}

// Filter narrows what List and Watch see. Empty fields narrow nothing.
type Filter struct {
	Kinds []string
	Name  string
	// Labels is a selector: app=web,tier!=db,env in (a,b),zone notin (c),present,!absent.
	Labels string
}

// Only returns a view of these kinds alone; the other side sends nothing else. Writing is not narrowed.
func (s *Store) Only(kinds ...string) *Store { return s.Filter(Filter{Kinds: kinds}) }

// Filter returns a view of what passes. In a watch, an object whose labels do not match counts as gone, also if it never
// matched; and a batch without changes says how far the watch has come when nothing passed.
func (s *Store) Filter(f Filter) *Store { return &Store{Conn: s.Conn, filter: f} }

func (s *Store) wire() *api.Filter {
	return &api.Filter{Kinds: s.filter.Kinds, Name: s.filter.Name, Labels: s.filter.Labels}
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key meta.Key) (meta.Object, error) {
	if len(s.filter.Kinds) > 0 && !slices.Contains(s.filter.Kinds, key.Kind) {
		return nil, fmt.Errorf("%s: %w", key, store.ErrNotFound)
	}
	var trailer metadata.MD
	r, err := s.api.Get(ctx, &api.GetRequest{Key: api.ToKey(key)}, grpc.Trailer(&trailer))
	s.tellStale(trailer)
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	o, err := s.decode(r.GetObject())
	if err == nil && o == nil {
		err = fmt.Errorf("%s: this program does not know the kind", key)
	}
	return o, err
}

// List implements store.Store.
func (s *Store) List(ctx context.Context) ([]meta.Object, store.Revision, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, err := s.api.List(ctx, &api.ListRequest{Filter: s.wire()})
	if err != nil {
		return nil, 0, s.explain(ctx, err)
	}
	d := decoding{conn: s.Conn, slots: make(chan struct{}, runtime.GOMAXPROCS(0))}
	defer d.running.Wait()
	var rev store.Revision
	for {
		part, err := in.Recv()
		if errors.Is(err, io.EOF) {
			s.tellStale(in.Trailer())
			all, err := d.result()
			return all, rev, err
		}
		if err != nil {
			return nil, 0, s.explain(ctx, err)
		}
		rev = part.GetRevision()
		d.add(part.GetObjects())
	}
}

// decoding reads the parts of a list side by side while more of them come in.
type decoding struct {
	conn    *Conn
	slots   chan struct{}
	running sync.WaitGroup
	parts   []*decoded
}

type decoded struct {
	objects []meta.Object
	err     error
}

// add begins with a part, when there is a slot.
func (d *decoding) add(in []*api.Object) {
	p := &decoded{objects: make([]meta.Object, 0, len(in))}
	d.parts = append(d.parts, p)
	d.slots <- struct{}{}
	d.running.Go(func() {
		defer func() { <-d.slots }()
		for _, x := range in {
			o, err := d.conn.decode(x)
			if err != nil {
				p.err = err
				return
			}
			if o != nil {
				p.objects = append(p.objects, o)
			}
		}
	})
}

// result is all of the parts in their order, or the first error.
func (d *decoding) result() ([]meta.Object, error) {
	d.running.Wait()
	var out []meta.Object
	for _, p := range d.parts {
		if p.err != nil {
			return nil, p.err
		}
		out = append(out, p.objects...)
	}
	return out, nil
}

// decode returns nil for a kind that this program does not know: a newer server has things that are not ours to see.
func (c *Conn) decode(x *api.Object) (meta.Object, error) {
	k, ok := c.kinds.ByName(x.GetKey().GetKind())
	if !ok {
		return nil, nil
	}
	o := k.New()
	if err := json.Unmarshal(x.GetJson(), o); err != nil {
		return nil, fmt.Errorf("decode %s: %w", x.GetKey().Meta(), err)
	}
	if key := x.GetKey().Meta(); o.Key() != key {
		return nil, fmt.Errorf("decode %s: it says that it is %s", key, o.Key())
	}
	return o, nil
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	r := &api.CommitRequest{Ops: make([]*api.Op, len(ops))}
	for i, op := range ops {
		x := &api.Op{Verb: api.Verb(op.Verb), Key: api.ToKey(op.Key), Guard: op.Guard}
		if op.Verb == store.Put {
			data, err := meta.Encode(op.Object)
			if err != nil {
				return 0, err
			}
			x.Json = data
		}
		r.Ops[i] = x
	}
	var to peer.Peer
	answer, err := s.api.Commit(ctx, r, grpc.Peer(&to))
	if err != nil {
		return 0, s.unsure(ctx, err, to.Addr != nil)
	}
	return answer.GetRevision(), nil
}

// unsure adds ErrUnknown to the error of a commit that was sent but not answered by the handler.
func (s *Store) unsure(ctx context.Context, err error, sent bool) error {
	out := s.explain(ctx, err)
	if _, answered := api.FromStatus(err); answered || !sent || status.Code(err) == codes.ResourceExhausted {
		return out
	}
	return fmt.Errorf("%w: %w", store.ErrUnknown, out)
}

// Watch implements store.Store. A link that breaks ends it with ErrUnavailable: when to begin again is up to
// the caller. Over several servers it goes on at another one, from where it was.
func (s *Store) Watch(ctx context.Context, after store.Revision) <-chan store.Batch {
	out := make(chan store.Batch)
	go func() {
		defer close(out)
		var err error
		for left := s.others; left >= 0; left-- { // those that are left to move on to since the last commit came
			err = s.watch(ctx, after, func(b store.Batch) error {
				after, left = b.Revision, s.others
				return send(ctx, out, b)
			})
			if ctx.Err() != nil || !errors.Is(err, ErrUnavailable) {
				break
			}
		}
		if ctx.Err() == nil {
			_ = send(ctx, out, store.Batch{Err: err})
		}
	}()
	return out
}

func send(ctx context.Context, out chan<- store.Batch, b store.Batch) error {
	select {
	case out <- b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) watch(ctx context.Context, after store.Revision, emit func(store.Batch) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, err := s.api.Watch(ctx, &api.WatchRequest{After: after, Filter: s.wire()})
	if err != nil {
		return s.explain(ctx, err)
	}
	var b store.Batch
	for {
		m, err := in.Recv()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("warren at %s ended the watch: %w", s.target, ErrUnavailable)
		}
		if err != nil {
			return s.explain(ctx, err)
		}
		b.Revision = m.GetRevision()
		for _, x := range m.GetChanges() {
			c := store.Change{Key: x.GetKey().Meta()}
			if len(x.GetJson()) > 0 {
				if c.Object, err = s.decode(x); err != nil {
					return err
				}
				if c.Object == nil {
					continue
				}
			}
			b.Changes = append(b.Changes, c)
		}
		if m.GetMore() {
			continue
		}
		if err := emit(b); err != nil {
			return err
		}
		b = store.Batch{}
	}
}
