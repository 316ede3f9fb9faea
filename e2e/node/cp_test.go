//go:build e2e

package node

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestCopy(t *testing.T) {
	w := running(t)
	task := w.furnished("web", "user: \"1000:1001\"")
	name, dir := task.Metadata.Name, t.TempDir()
	root := fmt.Sprintf("/proc/%d/root", task.Status.PID)

	t.Run("there and back", func(t *testing.T) {
		src := filepath.Join(dir, "tree")
		write(t, src+"/a/run", "#!")
		write(t, src+"/a/b/data", "data")
		at := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
		for _, err := range []error{os.Chmod(src+"/a/run", 0o751), os.Symlink("run", src+"/a/link"), os.Symlink("/etc", src+"/a/abs"), os.Chtimes(src+"/a/run", at, at)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		w.ctl("cp", src, name+":/tree")
		w.ctl("cp", name+":/tree", filepath.Join(dir, "back"))
		if out, err := exec.Command("diff", "-r", "--no-dereference", src, filepath.Join(dir, "back")).CombinedOutput(); err != nil {
			t.Errorf("back differs: %s", out)
		}
		info, err := os.Stat(filepath.Join(dir, "back/a/run"))
		if err != nil || info.Mode().Perm() != 0o751 || !info.ModTime().Equal(at) {
			t.Errorf("mode and time: %v %v", info, err)
		}
		info, err = os.Stat(root + "/tree/a/b/data")
		if st, ok := info.Sys().(*syscall.Stat_t); err != nil || !ok || st.Uid != 1000 || st.Gid != 1001 {
			t.Errorf("owner in the task: %+v %v", st, err)
		}
	})
	t.Run("nothing leads out", func(t *testing.T) {
		// The task's links are its own: /etc of the task, not of the machine.
		secret := filepath.Join(dir, "secret")
		write(t, secret, "secret")
		links := filepath.Join(dir, "links")
		for _, err := range []error{os.Mkdir(links, 0o755), os.Symlink(dir, links+"/abs"), os.Symlink("../../../../../../../.."+dir, links+"/up"), os.Symlink("/proc/1/root", links+"/magic")} {
			if err != nil {
				t.Fatal(err)
			}
		}
		w.ctl("cp", links, name+":/links")
		for _, path := range []string{"/links/abs/secret", "/links/up/secret", "/../.." + secret, "/links/magic" + secret} {
			if r := w.try("cp", name+":"+path, filepath.Join(dir, "stolen")); r.code != 1 {
				t.Errorf("%s: %+v", path, r)
			}
		}
		for _, path := range []string{"/links/abs/planted", "/links/up/planted", "/../.." + dir + "/planted"} {
			if r := w.try("cp", secret, name+":"+path); r.code != 1 {
				t.Errorf("to %s: %+v", path, r)
			}
		}
		for _, file := range []string{"stolen", "planted"} {
			if _, err := os.Lstat(filepath.Join(dir, file)); err == nil {
				t.Errorf("%s is there", file)
			}
		}
	})
	t.Run("big", func(t *testing.T) {
		big := make([]byte, 150<<20)
		_, _ = rand.Read(big[:64<<20])
		if err := os.WriteFile(filepath.Join(dir, "big"), big, 0o600); err != nil {
			t.Fatal(err)
		}
		before, begin := w.resident(), time.Now()
		w.ctl("cp", filepath.Join(dir, "big"), name+":/big")
		there := time.Since(begin)
		w.ctl("cp", name+":/big", filepath.Join(dir, "big2"))
		got, err := os.ReadFile(filepath.Join(dir, "big2"))
		if err != nil || !bytes.Equal(got, big) {
			t.Errorf("%d bytes back, %v", len(got), err)
		}
		grown := w.resident() - before
		t.Logf("150 MiB in %v, and back in %v; the node's memory grew by %d KiB", there, time.Since(begin)-there, grown)
		if grown > 40<<10 {
			t.Errorf("the node's memory grew by %d KiB", grown)
		}
	})
	t.Run("errors", func(t *testing.T) {
		w.apply(service("ro", image+"readOnlyRootFilesystem: true"), "--wait")
		ro := w.one("ro", "runs", ready).Metadata.Name
		r := w.try("cp", filepath.Join(dir, "secret"), ro+":/new")
		if r.code != 1 || !strings.HasPrefix(r.err, "warrenctl: write "+ro+":/new: file system is read-only\ntry: ") {
			t.Errorf("read-only: %+v", r)
		}
		r = w.try("cp", name+":/none", dir)
		if r.code != 1 || r.err != "warrenctl: read "+name+":/none: no such file or directory\n" {
			t.Errorf("no file: %+v", r)
		}
		r = w.try("cp", filepath.Join(dir, "secret"), name+":/none/new")
		if r.code != 1 || r.err != "warrenctl: write "+name+":/none/new: no such file or directory\n" {
			t.Errorf("no folder: %+v", r)
		}
		if r := w.try("cp", ro+":/hello", filepath.Join(dir, "hello")); r.code != 0 {
			t.Errorf("reading what is read-only: %+v", r)
		}
	})
}

// resident memory of the node that is its own, in KiB.
func (w *world) resident() (kib int) {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.cmd.Process.Pid))
	for line := range strings.Lines(string(data)) {
		_, _ = fmt.Sscanf(line, "RssAnon: %d kB", &kib)
	}
	return kib
}
