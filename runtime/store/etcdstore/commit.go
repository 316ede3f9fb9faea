package etcdstore

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
)

// txn is a commit in etcd's terms. Where a comparison fails, reads finds out which: one for each entry of guards.
type txn struct {
	compares []clientv3.Cmp
	writes   []clientv3.Op
	reads    []clientv3.Op
	guards   []store.Op
	bytes    int // of the objects that are written
}

// Commit implements store.Store as one etcd transaction.
func (s *Store) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	start := time.Now()
	t, err := s.plan(ops)
	if err != nil {
		return 0, fmt.Errorf("commit %w", err)
	}
	rev, err := s.send(ctx, t, ops)
	if s.options.Done != nil && len(t.writes) > 0 {
		s.options.Done(store.Outcome{Ops: len(t.writes), Bytes: t.bytes, Took: time.Since(start), Err: err})
	}
	return rev, err
}

func (s *Store) send(ctx context.Context, t *txn, ops []store.Op) (store.Revision, error) {
	if err := s.allowed(ctx); err != nil {
		return 0, fmt.Errorf("commit %s: %w", subject(ops), err)
	}
	if len(t.compares) == 0 && len(t.writes) == 0 {
		return s.head(ctx)
	}
	resp, err := s.submit(ctx, t)
	if err != nil {
		return 0, fmt.Errorf("commit %s: %w", subject(ops), err)
	}
	if !resp.Succeeded {
		return 0, t.refusal(resp.Responses, s.fence)
	}
	return resp.Header.Revision, nil
}

// allowed tells whether a commit may be sent at all.
func (s *Store) allowed(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := ask(s.options.Down); err != nil {
		return err
	}
	return ask(s.options.Gate)
}

// subject names a commit in errors.
func subject(ops []store.Op) string {
	switch len(ops) {
	case 0:
		return "nothing"
	case 1:
		return ops[0].Key.String()
	}
	return fmt.Sprintf("%s and %d more", ops[0].Key, len(ops)-1)
}

// head is the revision of now, for a commit that demands nothing and writes nothing.
func (s *Store) head(ctx context.Context) (store.Revision, error) {
	resp, err := s.fetch(ctx, Root, clientv3.WithCountOnly())
	if err != nil {
		return 0, fmt.Errorf("commit nothing: %w", err)
	}
	return resp.Header.Revision, nil
}

// plan turns operations into a transaction.
func (s *Store) plan(ops []store.Op) (*txn, error) {
	t := &txn{}
	if s.fence != nil {
		t.demand(s.fence.key, s.fence.rev)
	}
	written := map[meta.Key]bool{}
	for _, op := range ops {
		if op.Verb != store.Check && written[op.Key] {
			return nil, fmt.Errorf("%s: it is written twice", op.Key)
		}
		written[op.Key] = op.Verb != store.Check
		if op.Guard != store.Any {
			t.demand(pathOf(op.Key), op.Guard)
			t.guards = append(t.guards, op)
		}
		if err := t.write(op); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// demand adds a comparison. A key that is not there has revision 0, which is store.Absent.
func (t *txn) demand(path string, rev store.Revision) {
	t.compares = append(t.compares, clientv3.Compare(clientv3.ModRevision(path), "=", rev))
	t.reads = append(t.reads, clientv3.OpGet(path, clientv3.WithKeysOnly()))
}

func (t *txn) write(op store.Op) error {
	switch op.Verb {
	case store.Delete:
		t.writes = append(t.writes, clientv3.OpDelete(pathOf(op.Key)))
	case store.Put:
		data, err := encode(op.Object)
		if err != nil {
			return err
		}
		if len(data) > store.MaxObject {
			return fmt.Errorf("%s: %d bytes, at most %d: %w", op.Key, len(data), store.MaxObject, store.ErrTooLarge)
		}
		t.bytes += len(data)
		t.writes = append(t.writes, clientv3.OpPut(pathOf(op.Key), string(data)))
	}
	return nil
}

// refusal says which demand did not hold. A lost fence comes first: nothing else matters to a deposed leader.
func (t *txn) refusal(found []*pb.ResponseOp, f *fence) error {
	if f != nil {
		if revisionIn(found[0]) != f.rev {
			return fmt.Errorf("commit: %w", store.ErrFenced)
		}
		found = found[1:]
	}
	for i, op := range t.guards {
		if have := revisionIn(found[i]); have != op.Guard {
			return &store.ConflictError{Key: op.Key, Want: op.Guard, Have: have}
		}
	}
	return fmt.Errorf("commit: %w: etcd refused it and shows no reason", store.ErrUnavailable)
}

func revisionIn(r *pb.ResponseOp) store.Revision {
	if kvs := r.GetResponseRange().GetKvs(); len(kvs) > 0 {
		return kvs[0].ModRevision
	}
	return store.Absent
}
