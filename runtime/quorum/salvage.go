package quorum

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.uber.org/zap"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/etcdstore"
)

// Salvage reads all that a member which is not running has in its files, also what only its log has, though the others are
// lost and nobody can say what of it was acknowledged. It works on a copy in scratch, which is removed before and after.
func Salvage(ctx context.Context, config Config, scratch string) (all []meta.Object, rev store.Revision, err error) {
	if !Exists(config.DataDir) {
		return nil, 0, fmt.Errorf("read the store in %s: there is none", config.DataDir)
	}
	if err := os.RemoveAll(scratch); err != nil { // of one that was cut short
		return nil, 0, fmt.Errorf("read the store in %s: %w", config.DataDir, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if err := os.CopyFS(scratch, os.DirFS(config.DataDir)); err != nil {
		return nil, 0, fmt.Errorf("read the store in %s: %w", config.DataDir, diskError(err))
	}
	if err := commitAll(filepath.Join(scratch, "member", "wal")); err != nil {
		return nil, 0, fmt.Errorf("read the log in %s: %w", config.DataDir, err)
	}
	config.DataDir, config.Peer = scratch, PeerConfig{}
	q, err := newQuorum(config)
	if err == nil {
		err = q.prepare(nil)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read the store in %s: %w", scratch, err)
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	if err := q.alone(ctx); err != nil {
		return nil, 0, fmt.Errorf("read the store in %s: %w", scratch, err)
	}
	return q.store.List(ctx)
}

// commitAll marks all of a log as committed. A follower hears later than it writes what was committed, so the end of its log may
// have been acknowledged, and etcd would leave it out.
func commitAll(dir string) error {
	log := zap.NewNop()
	snaps, err := wal.ValidSnapshotEntries(log, dir)
	if err != nil {
		return err
	}
	from := &walpb.Snapshot{}
	if len(snaps) > 0 {
		from = snaps[len(snaps)-1]
	}
	w, err := wal.Open(log, dir, from)
	if err != nil {
		return err
	}
	_, state, entries, err := w.ReadAll()
	if err == nil && len(entries) > 0 {
		last := entries[len(entries)-1].GetIndex()
		state.Commit = &last
		err = w.Save(state, nil)
	}
	return errors.Join(err, w.Sync(), w.Close())
}

// alone starts etcd as the only member, whoever the others were.
func (q *Quorum) alone(ctx context.Context) error {
	settings, err := q.settings()
	if err != nil {
		return err
	}
	settings.ForceNewCluster = true
	if err := q.shrink(); err != nil {
		return err
	}
	if err := q.boot(settings); err != nil {
		return err
	}
	select {
	case <-q.server.ReadyNotify():
	case <-q.done:
		return q.Err()
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(startPatience):
		return errors.New("it does not take up work")
	}
	q.client = v3client.New(q.server)
	q.store = etcdstore.New(q.client, q.config.Kinds, etcdstore.Options{Down: q.down, Unreadable: q.unreadable, Expendable: q.config.Expendable})
	return nil
}
