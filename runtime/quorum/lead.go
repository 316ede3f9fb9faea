package quorum

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"crypto/rand"

	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/etcdstore"
)

// leadKey is overwritten by each new leader. Its revision is the fence of all that the leader commits.
const leadKey = etcdstore.Root + "lead"

// leader is the value of leadKey, for people.
type leader struct {
	Member string `json:"member"`
	Nonce  string `json:"nonce"`
}

// claimAgain is how long to wait after a claim that failed.
const claimAgain = 200 * time.Millisecond

// errRaced means that the key was written since this member has seen it; a member that has just come to lead may not have
// caught up with what its predecessor wrote.
var errRaced = errors.New("the leader's key has changed meanwhile")

// errDeposed is the cause of the context of a leader that is one no longer.
var errDeposed = fmt.Errorf("deposed: %w", store.ErrFenced)

// Lead runs fn while this member leads, again for each time that it comes to lead, until ctx ends or fn returns by
// itself. To become the leader costs one commit, to be it none. Every commit through fn's store fails with
// store.ErrFenced from the moment on that somebody else leads, and fn's context ends as soon as this member knows; fn
// must return then. Only one Lead may run at a time: a second one would fence the first.
func (q *Quorum) Lead(ctx context.Context, fn func(context.Context, store.Store) error) error {
	if !q.leading.CompareAndSwap(false, true) {
		return errors.New("lead: this member leads already")
	}
	defer q.leading.Store(false)
	told := ""
	for {
		if err := q.elected(ctx); err != nil {
			return fmt.Errorf("lead: %w", err)
		}
		rev, err := q.claim(ctx)
		if err != nil {
			if err.Error() != told && !errors.Is(err, errRaced) { // a full disk stays full for a while
				q.log.Error(err, "Cannot take over as leader")
			}
			told = err.Error()
			if !errors.Is(err, errRaced) {
				q.pause(ctx, claimAgain)
			}
			continue
		}
		q.log.Info("Leading", "revision", rev)
		again, err := q.reign(ctx, rev, fn)
		if !again {
			return err
		}
		q.log.Info("No longer leading", "revision", rev)
	}
}

// elected waits until raft has chosen this member.
func (q *Quorum) elected(ctx context.Context) error {
	for {
		changed := q.server.LeaderChangedNotify()
		if err := errors.Join(ctx.Err(), q.Err()); err != nil {
			return err
		}
		if q.server.Leader() == q.server.MemberID() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		case <-q.done:
		}
	}
}

// claim writes the leader's key and so ends what an earlier leader may still try to commit. It does so only over the key
// that this member has seen, so that one that was away and does not know yet cannot take the lead from its successor.
func (q *Quorum) claim(ctx context.Context) (store.Revision, error) {
	if err := errors.Join(q.down(), q.gate()); err != nil {
		return 0, err
	}
	value, err := json.Marshal(leader{q.config.Name, rand.Text()})
	if err != nil {
		return 0, err
	}
	ctx, release, err := q.attend(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	seen, err := q.client.Get(ctx, leadKey, clientv3.WithSerializable(), clientv3.WithKeysOnly())
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", leadKey, err)
	}
	rev := int64(0)
	for _, kv := range seen.Kvs {
		rev = kv.ModRevision
	}
	resp, err := q.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(leadKey), "=", rev)).
		Then(clientv3.OpPut(leadKey, string(value))).Commit()
	switch {
	case err != nil:
		return 0, fmt.Errorf("write %s: %w", leadKey, err)
	case !resp.Succeeded:
		return 0, errRaced
	}
	return resp.Header.Revision, nil
}

// reign runs fn behind the fence; again is true when it ended because somebody else leads.
func (q *Quorum) reign(ctx context.Context, rev store.Revision, fn func(context.Context, store.Store) error) (again bool, err error) {
	inner, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		cancel(q.deposed(inner, rev))
	}()
	err = fn(inner, q.store.Fenced(leadKey, rev))
	lost := context.Cause(inner)
	cancel(nil)
	<-watched
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case q.Err() != nil:
		return false, q.Err()
	}
	return errors.Is(lost, errDeposed) || errors.Is(err, store.ErrFenced), err
}

// deposed waits for the end of a reign and returns its cause. While raft names this member and the key is untouched,
// nothing is lost, however often raft votes.
func (q *Quorum) deposed(ctx context.Context, rev store.Revision) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	key := q.client.Watch(ctx, leadKey, clientv3.WithRev(rev+1))
	for {
		changed := q.server.LeaderChangedNotify()
		if q.server.Leader() != q.server.MemberID() && q.server.Leader() != 0 {
			return errDeposed
		}
		select {
		case <-changed:
		case <-key: // somebody wrote it, or the watch broke and nobody could tell
			return errDeposed
		case <-q.done:
			return q.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (q *Quorum) pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	case <-q.done:
	}
}
