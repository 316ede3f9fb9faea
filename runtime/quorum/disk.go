package quorum

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

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
	// firstStart is the mark in a directory that etcd has not yet made its own.
	firstStart = "first-start"
)

// prepare makes the directory and takes hold of it, so that what is wrong with it is found before etcd meets it. For a join
// it must hold no member; its start begins later, when the others have answered.
func (q *Quorum) prepare(j *Joining) error {
	dir := q.config.DataDir
	if _, ok := broken.Load(dir); ok {
		return ErrBroken
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return diskError(err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { // it may have been there before; secrets will be in it
		return diskError(err)
	}
	if err := q.room(q.startNeeds()); err != nil {
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
	err = probe(dir)
	switch {
	case err != nil:
	case j == nil:
		err = q.begin(nil)
	case Exists(dir):
		err = errors.New("the directory holds a member already")
	}
	if err != nil {
		lock.Close()
		return diskError(err)
	}
	q.lock = lock
	return nil
}

func (q *Quorum) startNeeds() int64 {
	if q.isNew() {
		return newFree
	}
	return startFree
}

// isNew tells that etcd has never run here.
func (q *Quorum) isNew() bool {
	_, err := os.Stat(filepath.Join(q.config.DataDir, "member"))
	return errors.Is(err, os.ErrNotExist)
}

// begin marks the first start of a directory as unfinished, and clears away one that was not finished: etcd cannot go on
// after it was killed between writing its log and writing who its members are. Nobody was told of a commit by then. What
// was to join a cluster must not become one of its own.
func (q *Quorum) begin(j *Joining) error {
	path, mark := filepath.Join(q.config.DataDir, firstStart), "the first start is not finished\n"
	old, err := os.ReadFile(path)
	switch unfinished := err == nil; {
	case unfinished && j == nil && strings.HasPrefix(string(old), joinMark):
		return fmt.Errorf("it was to join others, and that was not finished: %w", ErrJoinAgain)
	case unfinished && j != nil:
		if err := j.usable(string(old), q.isNew()); err != nil {
			return err
		}
	}
	if err == nil {
		q.log.Info("The first start was not finished; starting anew")
		if err := os.RemoveAll(filepath.Join(q.config.DataDir, "member")); err != nil {
			return err
		}
	}
	if !q.isNew() {
		return nil
	}
	if j != nil {
		mark = joinMark + strconv.FormatUint(j.ID, 10)
	}
	if err := writeSynced(path, mark); err != nil {
		return err
	}
	return syncDir(q.config.DataDir)
}

func writeSynced(path, text string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// finish ends the first start: the members are in the database now.
func (q *Quorum) finish() error {
	mark := filepath.Join(q.config.DataDir, firstStart)
	if _, err := os.Stat(mark); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	q.server.Backend().ForceCommit()
	if err := os.Remove(mark); err != nil {
		return err
	}
	return syncDir(q.config.DataDir)
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
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

// free tells how many bytes and inodes the file system of the data directory has left, or unix.EROFS where the kernel has
// made it read-only, as it does with a failing card. A file system that does not count inodes has enough.
func (q *Quorum) free() (bytes, inodes int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(q.config.DataDir, &s); err != nil {
		return 0, 0, err
	}
	inodes = int64(s.Ffree)
	if s.Files == 0 {
		inodes = minInodes
	}
	if s.Flags&unix.ST_RDONLY != 0 {
		return 0, inodes, unix.EROFS
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
