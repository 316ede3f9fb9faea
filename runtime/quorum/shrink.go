package quorum

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// shrink cuts off the end of the database file that was never used. The database grows in steps of 16 MB, and etcd reads
// the whole file into memory when it opens it: on a small machine most of its memory would be zeros. A file that cannot be
// read as a database, or has lost its end, is ErrCorrupt: etcd would take the process with it.
func (q *Quorum) shrink() error {
	path := filepath.Join(q.config.DataDir, "member", "snap", "db")
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) && q.isNew() {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	used, err := usedBytes(path)
	switch {
	case errors.Is(err, bolterrors.ErrTimeout) || errors.Is(err, os.ErrPermission):
		return fmt.Errorf("open %s: %w", path, err)
	case err != nil:
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, path, err)
	case used > info.Size():
		return fmt.Errorf("%w: %s: it is cut off after %d of %d bytes", ErrCorrupt, path, info.Size(), used)
	}
	return os.Truncate(path, used)
}

// usedBytes is where the last page that was ever used ends: further than any page that either of the two states in the
// file, the newest and the one before it, refers to.
func usedBytes(path string) (n int64, err error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second, PreLoadFreelist: false})
	if err != nil {
		return 0, err
	}
	defer db.Close()
	err = db.View(func(tx *bolt.Tx) error {
		n = tx.Size()
		return nil
	})
	return n, err
}
