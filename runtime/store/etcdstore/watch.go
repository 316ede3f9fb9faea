package etcdstore

import (
	"context"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"warren.io/warren/runtime/store"
)

// Watch implements store.Store with one watch over all keys of Warren. etcd delivers a revision whole as long as nobody
// asks it for fragments, and several revisions in one response when the watch begins in the past.
func (s *Store) Watch(ctx context.Context, after store.Revision) <-chan store.Batch {
	out := make(chan store.Batch, 16)
	ctx, cancel := context.WithCancel(ctx)
	in := s.client.Watch(ctx, Root, clientv3.WithPrefix(), clientv3.WithRev(after+1), clientv3.WithCreatedNotify())
	go func() {
		defer cancel()
		defer close(out)
		w := watch{store: s, out: out, last: after}
		if err := w.run(ctx, in); err != nil && ctx.Err() == nil {
			w.send(ctx, store.Batch{Err: err})
		}
	}()
	return out
}

// watch is one reader's place in the history.
type watch struct {
	store *Store
	out   chan<- store.Batch
	last  store.Revision // of the last batch that was sent
}

// run ends with the error that is the last batch, or nil with the context.
func (w *watch) run(ctx context.Context, in clientv3.WatchChan) error {
	for resp := range in {
		switch err := resp.Err(); {
		case resp.CompactRevision != 0:
			return store.ErrCompacted
		case err != nil:
			return fmt.Errorf("watch: %w", readError(err))
		case resp.Created && resp.Header.Revision < w.last:
			// A store from before what the reader knows: it was restored, or this member lags behind. List again.
			return store.ErrCompacted
		}
		if err := w.deliver(ctx, resp.Events); err != nil {
			return err
		}
	}
	return fmt.Errorf("watch: %w: it was closed", store.ErrUnavailable)
}

// deliver sends one batch for each revision among the events.
func (w *watch) deliver(ctx context.Context, events []*clientv3.Event) error {
	for len(events) > 0 {
		rev := events[0].Kv.ModRevision
		n := 1
		for n < len(events) && events[n].Kv.ModRevision == rev {
			n++
		}
		if rev <= w.last {
			return fmt.Errorf("watch: %w: revision %d after %d", store.ErrUnavailable, rev, w.last)
		}
		if !w.send(ctx, w.store.batch(rev, events[:n])) {
			return ctx.Err()
		}
		w.last = rev
		events = events[n:]
	}
	return nil
}

func (w *watch) send(ctx context.Context, b store.Batch) bool {
	select {
	case w.out <- b:
		return true
	case <-ctx.Done():
		return false
	}
}

// batch holds the resources among the events of one commit; there may be none, as with a change of leader.
func (s *Store) batch(rev store.Revision, events []*clientv3.Event) store.Batch {
	b := store.Batch{Revision: rev}
	for _, e := range events {
		key, ok := keyOf(string(e.Kv.Key))
		if !ok {
			continue
		}
		if e.Type == mvccpb.Event_DELETE {
			b.Changes = append(b.Changes, store.Change{Key: key})
		} else if o, err := s.read(e.Kv); err == nil {
			b.Changes = append(b.Changes, store.Change{Key: key, Object: o})
		}
	}
	return b
}
