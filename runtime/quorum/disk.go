package quorum

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"warren.io/warren/runtime/store"
)

const (
	// startFree is what a start needs: a little is written, and the next log segment may be allocated.
	startFree = 12 << 20
	// newFree is what a new directory needs: two log segments and a database.
	newFree = 40 << 20
	// minInodes are kept for segments, snapshots and temporary files.
	minInodes = 16
)

// prepare makes the directory and takes hold of it, so that what is wrong with it is found before etcd meets it.
func (q *Quorum) prepare() error {
	dir := q.config.DataDir
	if _, ok := broken.Load(dir); ok {
		return ErrBroken
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return diskError(err)
	}
	need := int64(startFree)
	if _, err := os.Stat(filepath.Join(dir, "member", "wal")); errors.Is(err, os.ErrNotExist) {
		need = newFree
	}
	if err := q.room(need); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return diskError(err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return errors.New("another process uses this directory")
	}
	if err := probe(dir); err != nil {
		lock.Close()
		return diskError(err)
	}
	q.lock = lock
	return nil
}

// probe writes a file and removes it: permissions and mount options cannot be told otherwise.
func probe(dir string) error {
	f, err := os.CreateTemp(dir, "probe-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString("can be written\n")
	return errors.Join(err, f.Close())
}

func diskError(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", store.ErrNoSpace, err)
	}
	return err
}

// free tells how many bytes and inodes the file system of the data directory has left. A file system that does not
// count inodes has enough.
func (q *Quorum) free() (bytes, inodes int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(q.config.DataDir, &s); err != nil {
		return 0, 0, err
	}
	inodes = int64(s.Ffree)
	if s.Files == 0 {
		inodes = minInodes
	}
	return int64(s.Bavail) * s.Bsize, inodes, nil
}

// room returns store.ErrNoSpace when fewer bytes than needed are free.
func (q *Quorum) room(need int64) error {
	bytes, inodes, err := q.free()
	switch {
	case err != nil:
		return fmt.Errorf("%w: look at %s: %w", store.ErrUnavailable, q.config.DataDir, err)
	case bytes < need:
		return fmt.Errorf("%w: %d MiB are free at %s, %d MiB are needed", store.ErrNoSpace, bytes>>20, q.config.DataDir, need>>20)
	case inodes < minInodes:
		return fmt.Errorf("%w: no inodes are left at %s", store.ErrNoSpace, q.config.DataDir)
	}
	return nil
}
