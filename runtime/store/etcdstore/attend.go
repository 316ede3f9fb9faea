package etcdstore

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"warren.io/warren/runtime/store"
)

// readAttempts bound how often a read is sent again because the leader changed meanwhile.
const readAttempts = 3

// attend is Options.Attend, or nothing where it is not set.
func (s *Store) attend(ctx context.Context) (context.Context, func(), error) {
	if s.options.Attend == nil {
		return ctx, func() {}, nil
	}
	return s.options.Attend(ctx)
}

// fetch reads: from a majority, or, in a local store, from the disk.
func (s *Store) fetch(ctx context.Context, key string, how ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	if s.local {
		resp, err := s.client.Get(ctx, key, append(how, clientv3.WithSerializable())...)
		if err != nil {
			return nil, readError(err)
		}
		return resp, nil
	}
	for attempt := 1; ; attempt++ {
		resp, err := s.fetchOnce(ctx, key, how...)
		if err == nil || attempt == readAttempts || !errors.Is(err, rpctypes.ErrLeaderChanged) {
			return resp, err
		}
	}
}

func (s *Store) fetchOnce(ctx context.Context, key string, how ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	attended, release, err := s.attend(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	resp, err := s.client.Get(attended, key, how...)
	if err != nil && abandoned(ctx, attended) {
		return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, context.Cause(attended))
	}
	if err != nil {
		return nil, readError(err)
	}
	return resp, nil
}

// submit sends a transaction.
func (s *Store) submit(ctx context.Context, t *txn) (*clientv3.TxnResponse, error) {
	attended, release, err := s.attend(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	wrote := len(t.writes) > 0
	resp, err := s.client.Txn(attended).If(t.compares...).Then(t.writes...).Else(t.reads...).Commit()
	switch {
	case err == nil:
		return resp, nil
	case abandoned(ctx, attended) && wrote:
		// Not wrapped: the cause is of the class unavailable, after which nothing was done, and this is not known here.
		return nil, fmt.Errorf("%w: %v", store.ErrUnknown, context.Cause(attended))
	case abandoned(ctx, attended):
		return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, context.Cause(attended))
	}
	return nil, writeError(err, wrote)
}

// abandoned tells that waiting was ended by the one who attends and not by the caller.
func abandoned(ctx, attended context.Context) bool { return ctx.Err() == nil && attended.Err() != nil }
