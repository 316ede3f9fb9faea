package quorum

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/etcdstore"
)

// Salvage reads all that a member which is not running has in its files, also what only its log has, though the others are
// lost and nobody can say what of it was acknowledged. It works on a copy in scratch, which must not exist and is removed.
func Salvage(ctx context.Context, config Config, scratch string) (all []meta.Object, rev store.Revision, err error) {
	if !Exists(config.DataDir) {
		return nil, 0, fmt.Errorf("read the store in %s: there is none", config.DataDir)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if err := os.CopyFS(scratch, os.DirFS(config.DataDir)); err != nil {
		return nil, 0, fmt.Errorf("read the store in %s: %w", config.DataDir, diskError(err))
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
