package quorum

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"warren.io/warren/runtime/store"
)

const (
	// tidyEvery is how often to look, in memory only, whether there is something to do.
	tidyEvery = 5 * time.Second
	// shortHistory is what is kept when the database is more than half full.
	shortHistory = 100
)

// tidy compacts history as it gathers and makes room when the database is full. Both write, so both happen only after
// somebody wrote: by count and not by the clock. While nothing is written, neither is anything here.
func (q *Quorum) tidy() {
	ticks := time.NewTicker(tidyEvery)
	defer ticks.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for {
		select {
		case <-q.done:
			return
		case <-ticks.C:
		}
		if err := q.tidyOnce(ctx); err != nil && q.Err() == nil {
			q.log.Error(err, "Cannot tidy up the store")
		}
	}
}

func (q *Quorum) tidyOnce(ctx context.Context) error {
	if q.down() != nil || q.gate() != nil || q.server.Leader() != q.server.MemberID() {
		return nil
	}
	if q.full() {
		return q.makeRoom(ctx)
	}
	keep := q.config.History
	if q.server.Backend().SizeInUse() > q.config.Quota/2 {
		keep = min(keep, shortHistory)
	}
	kv := q.server.KV()
	if rev := kv.Rev(); rev-kv.FirstRev() >= 2*keep {
		return q.compact(ctx, rev-keep)
	}
	return nil
}

func (q *Quorum) compact(ctx context.Context, rev store.Revision) error {
	if _, err := q.client.Compact(ctx, rev, clientv3.WithCompactPhysical()); err != nil {
		return fmt.Errorf("compact to revision %d: %w", rev, err)
	}
	return nil
}

// full tells that commits are refused, or soon will be although much of the file is unused.
func (q *Quorum) full() bool {
	size, used := q.server.Backend().Size(), q.server.Backend().SizeInUse()
	return q.alarmed() || size > q.config.Quota*8/10 && used < size/2
}

func (q *Quorum) alarmed() bool {
	for _, a := range q.server.Alarms() {
		if a.Alarm == pb.AlarmType_NOSPACE {
			return true
		}
	}
	return false
}

// makeRoom forgets all history, gives unused pages back to the disk, and ends the alarm if that helped. It is tried
// once for each revision: as long as nobody deletes anything, trying again cannot help.
func (q *Quorum) makeRoom(ctx context.Context) error {
	rev := q.server.KV().Rev()
	if rev == q.tried {
		return nil
	}
	q.tried = rev
	if rev > q.server.KV().FirstRev() {
		if err := q.compact(ctx, rev); err != nil {
			return err
		}
	}
	q.tidyOthers(ctx, rev)
	if err := q.defragment(); err != nil {
		return fmt.Errorf("make room: %w", err)
	}
	used := q.server.Backend().SizeInUse() // before the database was written anew it counted what was just freed
	if used > q.config.Quota*3/4 {
		return fmt.Errorf("make room: %w: %d of %d MiB are in use; delete what is not needed", store.ErrNoSpace, used>>20, q.config.Quota>>20)
	}
	if _, err := q.client.AlarmDisarm(ctx, &clientv3.AlarmMember{}); err != nil {
		return fmt.Errorf("make room: end the alarm: %w", err)
	}
	q.log.Info("Made room in the store", "used", used, "size", q.server.Backend().Size())
	return nil
}
