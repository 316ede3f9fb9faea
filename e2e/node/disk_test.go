//go:build e2e

package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	v1 "warren.io/warren/apis/v1"
)

// smallDisk puts the data directory on a file system of its own; the test bench takes it away again.
func (w *world) smallDisk(size string) {
	w.t.Helper()
	if err := syscall.Mount("tmpfs", w.host.DataDir, "tmpfs", 0, "size="+size); err != nil {
		w.t.Fatal(err)
	}
}

// readOnly makes the data directory read-only for whoever opens a file from now on, or takes that back. The kernel does not do it
// to a file system with files that are written, as it would by itself to one that fails.
func (w *world) readOnly(on bool) {
	w.t.Helper()
	dir := w.host.DataDir
	var err error
	if !on {
		err = syscall.Unmount(dir, syscall.MNT_DETACH)
	} else {
		err = errors.Join(syscall.Mount(dir, dir, "", syscall.MS_BIND, ""), syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""))
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// fill writes a file until no more than so many bytes are free.
func (w *world) fill(leave int64) (path string) {
	w.t.Helper()
	path = filepath.Join(w.host.DataDir, "ballast")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		var st syscall.Statfs_t
		if err := syscall.Statfs(path, &st); err != nil {
			w.t.Fatal(err)
		}
		if int64(st.Bavail)*st.Bsize <= leave && leave > 0 {
			return path
		}
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			w.t.Fatal(err)
		}
	}
	return path
}

// sick waits until the store's check says all of the words.
func (w *world) sick(words ...string) {
	w.t.Helper()
	w.await("the store says "+strings.Join(words, ", "), func() bool {
		ok, message := w.check("store")
		for _, word := range words {
			ok = ok || !strings.Contains(message, word)
		}
		return !ok
	})
	if a := w.readyz(); a.code != 503 {
		w.t.Errorf("readyz is %d: %s", a.code, a.body)
	}
}

// brimful fills the disk to the last byte, and again where a write of etcd's own, some seconds after its start, met the end
// of the disk: the store then starts anew, which gives back a few MiB.
func (w *world) brimful() {
	w.t.Helper()
	w.await("the store says that nothing is free", func() bool {
		w.fill(0)
		ok, message := w.check("store")
		return !ok && strings.Contains(message, ": 0 MiB are free at")
	})
}

// works proves that the node is whole again: a new service runs, an old task was not touched.
func (w *world) works(name string, kept *v1.Task) {
	w.t.Helper()
	w.await("the node is ready again", func() bool { return w.readyz().code == 200 })
	w.apply(service(name, image), "--wait")
	w.alive(w.one(name, "runs", ready))
	w.alive(kept)
	if now := w.one(kept.Spec.Service, "runs", ready); now.Metadata.Name != kept.Metadata.Name || now.Status.Restarts != kept.Status.Restarts || now.Status.PID != kept.Status.PID {
		w.t.Errorf("%s with %d became %s with %d", kept.Metadata.Name, kept.Status.PID, now.Metadata.Name, now.Status.PID)
	}
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.smallDisk("300M")
	w.start()
	w.ready()
	w.ctl("image", "import", helloTar)
	w.apply(service("web", image), "--wait")
	kept := w.one("web", "runs", ready)
	w.alive(kept)

	other := archive(t, "warren.io/other:1", "other")

	// Nearly full: reading goes on, changes are refused, a process that crashes is started again.
	ballast := w.fill(16 << 20)
	w.sick("store is full", "MiB are free at")
	r := w.run(service("more", image), warrenctl, "apply", "-f", "-")
	if r.code != 1 || !strings.Contains(r.err, "MiB are free at") || strings.Contains(r.out, "created") {
		t.Errorf("apply on a full disk: %+v", r)
	}
	contains(t, "reads go on", w.ctl("get", "tasks"), kept.Metadata.Name)
	_, _ = get(w.inside, "http://"+kept.Status.Address+":8080/crash") // it has no time to answer
	if again := w.visit(kept); again.Task != kept.Metadata.Name {
		t.Errorf("after a crash %+v answers", again)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	kept = w.one("web", "was started again, and is told so", func(t *v1.Task) bool { return ready(t) && t.Status.Restarts == 1 })
	w.works("later", kept)

	// Full to the last byte, also for a warren that starts then.
	ballast = w.fill(8 << 20) // from here on nothing is written: a write that fails half-way is another test, in runtime/quorum
	w.sick("MiB are free at")
	w.brimful()
	if r := w.try("image", "import", other); r.code != 1 || !strings.Contains(r.err, "no space left on device") {
		t.Errorf("import on a full disk: %+v", r)
	}
	w.alive(kept)
	w.terminate()
	w.start()
	w.sick("MiB are free at")
	w.logged("level=ERROR", "store cannot start, trying again; tasks go on", "MiB are free at")
	w.alive(kept)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	w.works("last", kept)
	w.ctl("image", "import", other)
	contains(t, "images", w.ctl("image", "list"), "warren.io/other:1")
}

// TestKioskOnFullDisk: what the directory says is applied as soon as there is space, by nobody's hand.
func TestKioskOnFullDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.smallDisk("300M")
	dir := filepath.Join(t.TempDir(), "boot")
	write(t, filepath.Join(dir, "a.yaml"), service("alpha", image))
	w.start("--manifests", dir)
	w.ready()
	w.ctl("image", "import", helloTar)
	kept := w.one("alpha", "runs", ready)
	ballast := w.fill(16 << 20)
	w.sick("store is full")
	write(t, filepath.Join(dir, "b.yaml"), service("beta", image))
	w.await("the check says why", func() bool {
		ok, message := w.check("manifests")
		return !ok && strings.Contains(message, "store is full")
	})
	w.alive(kept)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	w.await("beta runs", func() bool { return w.runs("alpha", "beta") })
	w.goodAgain()
	w.alive(kept)
}

func TestUnwritableAtStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.smallDisk("300M")
	w.readOnly(true)
	w.start()
	w.sick("read-only file system")
	w.logged("level=ERROR", "read-only file system", "tasks go on")
	if r := w.try("get", "nodes"); r.code != 1 || !strings.Contains(r.err, "read-only file system") {
		t.Errorf("get: %+v", r)
	}
	if a := w.api("/healthz"); a.code != 200 {
		t.Errorf("healthz: %+v", a)
	}
	w.terminate() // who waits for a disk ends like anybody else
	w.start()
	w.sick("read-only file system")
	w.readOnly(false)
	w.ready()
	w.ctl("image", "import", helloTar)
	w.apply(service("web", image), "--wait")
	kept := w.one("web", "runs", ready)

	// The same with a node that has tasks already.
	w.terminate()
	w.readOnly(true)
	w.start()
	w.sick("read-only file system")
	w.alive(kept)
	w.readOnly(false)
	w.works("later", kept)
}

func TestUnwritableWhileRunning(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.smallDisk("300M")
	w.start()
	w.ready()
	w.ctl("image", "import", helloTar)
	w.apply(service("web", image), "--wait")
	kept := w.one("web", "runs", ready)
	w.readOnly(true)
	w.sick("read-only file system")
	r := w.run(service("more", image), warrenctl, "apply", "-f", "-")
	if r.code != 1 || !strings.Contains(r.err, "read-only file system") {
		t.Errorf("apply: %+v", r)
	}
	w.alive(kept)
	w.readOnly(false)
	w.works("later", kept)
}

// TestForeignStore: a store that was emptied or that belongs to others is not obeyed. Its empty list would stop every task.
func TestForeignStore(t *testing.T) {
	t.Parallel()
	w := running(t)
	w.apply(service("web", image+"replicas: 2"), "--wait")
	kept := w.tasks("web")
	store, away := filepath.Join(w.host.DataDir, "etcd"), filepath.Join(w.host.DataDir, "etcd.away")
	stay := func(words ...string) {
		t.Helper()
		w.start()
		w.sick(append(words, "store belongs to another cluster", "bring", "or run warren reset")...)
		w.logged("level=ERROR", "node stays out; tasks go on", words[0])
		for _, task := range kept {
			w.alive(task)
		}
		if r := w.run(service("evil", image), warrenctl, "apply", "-f", "-"); r.code != 1 || !strings.Contains(r.err, words[0]) {
			t.Errorf("apply: %+v", r)
		}
		w.terminate()
	}
	w.terminate()
	if err := os.Rename(store, away); err != nil {
		t.Fatal(err)
	}
	stay("is empty")
	stay("is empty") // and not only the first time

	other := newWorld(t)
	other.start()
	other.ready()
	other.terminate()
	if err := errors.Join(os.RemoveAll(store), os.Rename(filepath.Join(other.host.DataDir, "etcd"), store)); err != nil {
		t.Fatal(err)
	}
	stay("is of ")

	if err := errors.Join(os.RemoveAll(store), os.Rename(away, store)); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.ready()
	for i, task := range w.tasks("web") {
		if task.Status.PID != kept[i].Status.PID || task.Status.Restarts != 0 {
			t.Errorf("%s was started again", task.Metadata.Name)
		}
		w.alive(task)
	}
	if left := w.host.Orphans(t, kept[0].Metadata.Name, kept[1].Metadata.Name); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// TestDataDirectoryGone: tasks that run are not taken for rubbish by a node that knows of nothing, as when the data
// directory is not mounted.
func TestDataDirectoryGone(t *testing.T) {
	t.Parallel()
	w := running(t)
	w.apply(service("web", image), "--wait")
	kept := w.one("web", "runs", ready)
	w.terminate()
	away := w.host.DataDir + ".away"
	if err := errors.Join(os.Rename(w.host.DataDir, away), os.Mkdir(w.host.DataDir, 0o755)); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.sick("tasks of an earlier node run below "+w.host.RunDir, "bring back what was there, or run warren reset")
	w.alive(kept)
	if r := w.run("", warren, append([]string{"stop"}, w.dirFlags()...)...); r.code != 0 {
		t.Errorf("stop of a node that stays out: %+v", r)
	}
	w.awaitEnd()
	if err := errors.Join(os.RemoveAll(w.host.DataDir), os.Rename(away, w.host.DataDir)); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.works("later", kept)

	// The other way out: what nobody knows of any more is removed when that is asked for.
	w.terminate()
	if err := os.RemoveAll(w.host.DataDir); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.sick("tasks of an earlier node run below")
	w.terminate()
	w.alive(kept)
	if r := w.run("", warren, append([]string{"reset", "--yes"}, w.dirFlags()...)...); r.code != 0 {
		t.Errorf("reset: %+v", r)
	}
	if left := w.host.Orphans(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	w.start()
	w.ready()
}
