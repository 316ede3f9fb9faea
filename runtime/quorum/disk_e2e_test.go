//go:build e2e

package quorum

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"

	"warren.io/warren/runtime/store"
)

// smallDisk mounts a tmpfs of some MiB for the length of the test.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", size)); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount a tmpfs: %v", err)
		}
		t.Skipf("needs root to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// fill writes a file until nothing is left but some bytes.
func fill(t *testing.T, dir string, leave int64) (empty func()) {
	t.Helper()
	name := filepath.Join(dir, "filling")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	eventually(t, "a full disk", func() bool { // etcd allocates a log segment meanwhile
		var s unix.Statfs_t
		var has unix.Stat_t
		if err := errors.Join(unix.Statfs(dir, &s), unix.Fstat(int(f.Fd()), &has)); err != nil {
			t.Fatal(err)
		}
		n := int64(s.Bavail)*s.Bsize - leave
		return n <= 0 || unix.Fallocate(int(f.Fd()), 0, has.Size, n) == nil
	})
	return func() { os.Remove(name) }
}

// The disk fills up while the member runs, is full over a restart, and is emptied again. Nobody has to do anything else.
func TestFullDisk(t *testing.T) {
	disk := smallDisk(t, 96)
	dir := filepath.Join(disk, "etcd")
	q := start(t, Config{DataDir: dir})
	commit(t, q.Store(), store.CreateOp(service("before")))
	for _, leave := range []int64{20 << 20, 0} {
		empty := fill(t, disk, leave)
		for range 100 {
			if _, err := q.Store().Commit(t.Context(), store.CreateOp(service("during"))); !errors.Is(err, store.ErrNoSpace) {
				t.Fatalf("commit on a full disk: %v", err)
			}
		}
		if h := q.Health(); !errors.Is(h.Err, store.ErrNoSpace) {
			t.Fatalf("health on a full disk: %+v", h)
		}
		if _, err := q.Store().Get(t.Context(), service("before").Key()); err != nil {
			t.Fatalf("reads go on: %v", err)
		}
		empty()
		commit(t, q.Store(), store.Op{Verb: store.Put, Object: service("after"), Key: service("after").Key(), Guard: store.Any})
		if h := q.Health(); h.Err != nil {
			t.Fatalf("health after emptying: %+v", h)
		}
	}
	empty := fill(t, disk, 0)
	if err := q.Close(); err != nil {
		t.Fatalf("close on a full disk: %v", err)
	}
	if _, err := open(t, Config{DataDir: dir}); !errors.Is(err, store.ErrNoSpace) {
		t.Fatalf("start on a full disk: %v", err)
	}
	empty()
	q = start(t, Config{DataDir: dir})
	if all, _, err := q.Store().List(t.Context()); err != nil || len(all) != 2 {
		t.Fatalf("%d objects, %v", len(all), err)
	}
}

// The disk fills up behind the guard's back, so that etcd itself meets it: the member breaks, the process lives and
// says why, and a new process finds everything that was acknowledged.
func TestDiskFullInsideEtcd(t *testing.T) {
	disk := smallDisk(t, 64)
	dir := filepath.Join(disk, "etcd")
	q := start(t, Config{DataDir: dir, MinFree: 1})
	empty := fill(t, disk, 64<<10)
	acked := 0
	for i := range 100_000 {
		o := service(fmt.Sprintf("s%d", i))
		o.Metadata.Annotations = map[string]string{"x": strings.Repeat("x", 8<<10)}
		if _, err := q.Store().Commit(t.Context(), store.CreateOp(o)); err != nil {
			t.Logf("after %d commits: %v", acked, err)
			break
		}
		acked++
	}
	select {
	case <-q.Done():
	case <-time.After(patience):
		t.Fatalf("etcd went on over a full disk; health %+v", q.Health())
	}
	t.Logf("the member says: %v", q.Err())
	if h := q.Health(); !errors.Is(q.Err(), ErrBroken) || !errors.Is(h.Err, ErrBroken) {
		t.Fatalf("err %v, health %+v", q.Err(), h)
	}
	if _, err := q.Store().Commit(t.Context(), store.CreateOp(service("late"))); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("commit to a broken member: %v", err)
	}
	q.Close()
	empty()
	if _, err := open(t, Config{DataDir: dir}); !errors.Is(err, ErrBroken) {
		t.Fatalf("start in the process of a broken member: %v", err)
	}
	// A new process would find what a copy of the files holds.
	copied := filepath.Join(t.TempDir(), "copy")
	if out, err := exec.Command("cp", "-r", dir, copied).CombinedOutput(); err != nil {
		t.Fatalf("copy: %v: %s", err, out)
	}
	q = start(t, Config{DataDir: copied, Log: logr.Discard()})
	for i := range acked {
		if _, err := q.Store().Get(t.Context(), service(fmt.Sprintf("s%d", i)).Key()); err != nil {
			t.Fatalf("acknowledged and lost: %v", err)
		}
	}
}

// A card that the kernel has made read-only is told as such, and works again once it is writable.
func TestReadOnlyDisk(t *testing.T) {
	disk := smallDisk(t, 96)
	q := start(t, Config{DataDir: filepath.Join(disk, "etcd")})
	commit(t, q.Store(), store.CreateOp(service("web")))
	q.Close()
	remount := func(flags uintptr) {
		if err := unix.Mount("", disk, "", unix.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	remount(unix.MS_RDONLY)
	if _, err := open(t, q.config); !errors.Is(err, unix.EROFS) {
		t.Fatalf("start on a read-only disk: %v", err)
	}
	if err := q.gate(); !errors.Is(err, unix.EROFS) || !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("a commit on a read-only disk would be told: %v", err)
	}
	remount(0)
	q = start(t, q.config)
	if _, err := q.Store().Get(t.Context(), service("web").Key()); err != nil {
		t.Fatal(err)
	}
}
