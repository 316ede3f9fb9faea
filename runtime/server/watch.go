package server

import (
	"context"

	"google.golang.org/grpc"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/server/api"
	"warren.io/warren/runtime/store"
)

// watchQueue is how many messages wait for a watcher. With api.Part it bounds the memory of one that is stuck.
const watchQueue = 16

// Watch implements the API.
func (s service) Watch(r *api.WatchRequest, out grpc.ServerStreamingServer[api.WatchResponse]) error {
	f, err := newFilter(r.GetFilter())
	if err != nil {
		return err
	}
	ctx, done := s.open(out.Context())
	defer done()
	box := newOutbox(out.Context(), watchQueue, func(m *api.WatchResponse, _ <-chan *api.WatchResponse) error { return out.Send(m) })
	err = s.follow(ctx, f.changes(), r.GetAfter(), func(b store.Batch) error {
		return encodeBatch(b, func(m *api.WatchResponse) error { return box.put(ctx, m, s.patience) })
	})
	return box.finish(out.Context(), err)
}

// follow emits what passes the filter of each commit, and for commits of which nothing does their bare revision, so that the
// watcher knows how far it has come; of several such in a row only the last.
func (s *Server) follow(ctx context.Context, c *changes, after store.Revision, emit func(store.Batch) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the store's watch, also when emit failed
	view, err := s.view(ctx, c.kinds)
	if err != nil {
		return err
	}
	commits := view.Watch(ctx, after)
	var bare store.Batch
	for {
		b, ok := next(commits, bare.Revision != 0)
		switch {
		case ok && b.Err != nil:
			return b.Err
		case ok:
			if b.Changes = c.pass(b.Changes); len(b.Changes) == 0 {
				bare = b
				continue
			}
		case b.Revision != 0: // the channel was closed
			return endOf(ctx)
		default: // nothing more is there for now
			b = bare
		}
		bare = store.Batch{}
		if err := emit(b); err != nil {
			return err
		}
	}
}

// closed is what next returns beside false when there will be nothing more.
var closed = store.Batch{Revision: -1}

// next takes a commit from a channel. When it is not to wait and there is none it returns a zero Batch and false.
func next(commits <-chan store.Batch, atOnce bool) (store.Batch, bool) {
	if atOnce {
		select {
		case b, ok := <-commits:
			return orClosed(b, ok)
		default:
			return store.Batch{}, false
		}
	}
	b, ok := <-commits
	return orClosed(b, ok)
}

func orClosed(b store.Batch, ok bool) (store.Batch, bool) {
	if !ok {
		return closed, false
	}
	return b, true
}

// endOf is why a watch ended of which the store said nothing.
func endOf(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return store.ErrUnavailable
}

// encodeBatch makes one message of a commit, or several of a big one.
func encodeBatch(b store.Batch, emit func(*api.WatchResponse) error) error {
	m, size := &api.WatchResponse{Revision: b.Revision}, 0
	for i, c := range b.Changes {
		x := &api.Object{Key: api.ToKey(c.Key)}
		if c.Object != nil {
			data, err := meta.Encode(c.Object)
			if err != nil {
				return err
			}
			x.Json = data
		}
		m.Changes = append(m.Changes, x)
		if size += len(x.Json); size >= api.Part && i < len(b.Changes)-1 {
			m.More = true
			if err := emit(m); err != nil {
				return err
			}
			m, size = &api.WatchResponse{Revision: b.Revision}, 0
		}
	}
	return emit(m)
}
