package quorum

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/etcdstore"
)

// Plant makes the directory of a new member, the only one of a new cluster, that holds objects with the uids and revisions which
// they carry, at a revision that must be no lower than any of theirs. All history before it counts as compacted. It returns after
// the member was started once and showed every object as it was given; an existing directory is refused. Killed in between, it
// leaves a directory that nobody should start.
func Plant(ctx context.Context, config Config, all []meta.Object, rev store.Revision) error {
	if Exists(config.DataDir) {
		return fmt.Errorf("plant a store in %s: there is one", config.DataDir)
	}
	q, err := Start(ctx, config)
	if err == nil {
		err = q.Close()
	}
	if err == nil {
		err = sow(filepath.Join(config.DataDir, "member", "snap", "db"), all, rev)
	}
	if err == nil {
		err = grown(ctx, config, all, rev)
	}
	if err != nil {
		return fmt.Errorf("plant a store in %s: %w", config.DataDir, err)
	}
	return nil
}

// sow writes into the database of a member that is not running, in etcd's own form: a bucket with one entry for each version of a
// key, and the revision up to which older versions are gone.
func sow(path string, all []meta.Object, rev store.Revision) error {
	kvs, err := etcdstore.KeyValues(all)
	if err != nil {
		return err
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		keys, about := tx.Bucket([]byte("key")), tx.Bucket([]byte("meta"))
		if keys == nil || about == nil {
			return errors.New("the database of the new member has another form than is known")
		}
		for i, kv := range kvs {
			if kv.ModRevision > rev {
				return fmt.Errorf("%s has revision %d, the store is to have %d", kv.Key, kv.ModRevision, rev)
			}
			value, err := proto.Marshal(kv)
			if err != nil {
				return err
			}
			if err := keys.Put(entry(kv.ModRevision, int64(i)), value); err != nil {
				return err
			}
		}
		return errors.Join(about.Put([]byte("scheduledCompactRev"), entry(rev, 0)), about.Put([]byte("finishedCompactRev"), entry(rev, 0)))
	})
	return errors.Join(err, db.Close())
}

// entry is the key of a revision; part tells several writes of one commit apart.
func entry(rev store.Revision, part int64) []byte {
	out := binary.BigEndian.AppendUint64(nil, uint64(rev))
	return binary.BigEndian.AppendUint64(append(out, '_'), uint64(part))
}

// grown starts the member and compares what it holds with what was sown.
func grown(ctx context.Context, config Config, all []meta.Object, rev store.Revision) (err error) {
	q, err := Start(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	have, at, err := q.Store().List(ctx)
	if err != nil {
		return err
	}
	if at != rev || len(have) != len(all) {
		return fmt.Errorf("it is at revision %d with %d objects, not at %d with %d", at, len(have), rev, len(all))
	}
	want := map[meta.Key]meta.Object{}
	for _, o := range all {
		want[o.Key()] = o
	}
	for _, o := range have {
		a, errA := meta.Encode(o)
		b, errB := meta.Encode(want[o.Key()])
		if err := errors.Join(errA, errB); err != nil || !bytes.Equal(a, b) {
			return fmt.Errorf("%s came out as something else: %w", o.Key(), err)
		}
	}
	return nil
}
