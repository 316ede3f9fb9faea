//go:build e2e

package containerd

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"warren.io/warren/runtime/host"
)

// remarks are what a host wanted people to hear.
type remarks struct {
	mu  sync.Mutex
	all []host.Remark
}

func (r *remarks) add(x host.Remark) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, x)
}

// of returns the messages with a reason.
func (r *remarks) of(reason string) (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.all {
		if x.Reason == reason {
			out = append(out, x.Message)
		}
	}
	return out
}

// until waits for a condition that must come true.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(40 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("in vain: %s; images %q, remarks %+v", what, w.names(), w.remarks.all)
		}
	}
}

// noise is so many bytes that do not compress.
func noise(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.Read(b)
	return b
}

// archiveOf is an archive in docker's form.
func archiveOf(t *testing.T, tag string, img ggcr.Image) []byte {
	t.Helper()
	ref, err := name.NewTag(tag)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := tarball.Write(ref, img, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (w *world) bring(tag string, o host.ImportOptions) string {
	w.t.Helper()
	list, err := w.host.Import(bg(), bytes.NewReader(archiveOf(w.t, tag, variant(w.t, runtime.GOARCH, string(noise(10<<20))))), o)
	if err != nil {
		w.t.Fatal(err)
	}
	return list[0].Digest
}

// names are those of all images, in short.
func (w *world) names() (out []string) {
	list, err := w.host.List(bg())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, i := range list {
		out = append(out, strings.TrimPrefix(i.Name, "index.docker.io/library/"))
	}
	return out
}

// small puts the data directory on a disk of its own.
func (w *world) small(size string) {
	w.t.Helper()
	if err := errors.Join(os.MkdirAll(w.data, 0o755), syscall.Mount("tmpfs", w.data, "tmpfs", 0, "size="+size)); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = syscall.Unmount(w.data, syscall.MNT_DETACH) })
}

// TestCollect: a full disk costs the images that nobody needs, the one that was unused for longest first, and no others.
func TestCollect(t *testing.T) {
	w := emptyWorld(t)
	w.small("400M")
	w.open()
	pinned := w.bring("pinned:1", host.ImportOptions{Pin: true})
	served := w.bring("served:1", host.ImportOptions{})
	w.bring("named:1", host.ImportOptions{})
	w.bring("run:1", host.ImportOptions{})
	w.bring("dir:1", host.ImportOptions{Archive: host.Archive{Name: "a.tar", Version: "1"}})
	w.bring("old:1", host.ImportOptions{})
	w.bring("new:1", host.ImportOptions{})
	run := task("run", "sleep")
	run.Template.Image = "run:1"
	before, _ := readUse(w.data)
	percent := int(before.used * 100 / before.total)

	w.again(ImageGC{High: percent - 1, Low: percent - 2})
	if err := w.host.gc.look(w.host.ctx); !errors.Is(err, errBusy) {
		t.Errorf("collects before it knows what is needed: %v", err)
	}
	w.set(run)
	w.awaitPhase("run", host.Running)
	if err := w.host.gc.look(w.host.ctx); !errors.Is(err, errBusy) {
		t.Errorf("collects before it knows what services need: %v", err)
	}
	w.protect(served, "named:1")
	w.until("the oldest is gone", func() bool { return !slices.Contains(w.names(), "docker.io/library/old:1") })
	if !slices.Contains(w.names(), "docker.io/library/new:1") {
		t.Errorf("more than needed is gone: %q", w.names())
	}
	w.until("it is told", func() bool { return len(w.remarks.of(host.ReasonImagesRemoved)) == 1 })
	if text := w.remarks.of(host.ReasonImagesRemoved)[0]; !strings.Contains(text, "removed docker.io/library/old:1: "+w.data+" was ") {
		t.Error(text)
	}
	if after, _ := readUse(w.data); after.used+20<<20 > before.used {
		t.Errorf("%s in use before, %s after 20 MiB of content and files are gone", before, after)
	}

	// What all are needed for is told, once.
	w.again(ImageGC{High: 1, Low: 0})
	w.set(run)
	w.protect(served, "named:1")
	w.until("nothing is left to remove", func() bool { return len(w.host.Warnings()) == 1 })
	want := []string{"docker.io/library/dir:1", "docker.io/library/named:1", "docker.io/library/pinned:1", "docker.io/library/run:1", "docker.io/library/served:1"}
	if got := w.names(); !slices.Equal(got, want) {
		t.Errorf("left are %q, want %q", got, want)
	}
	_ = w.host.gc.look(w.host.ctx)
	if text := fmt.Sprint(w.remarks.of(host.ReasonDiskFull)); !strings.HasSuffix(text, "no image can be removed: 1 in use by tasks, 2 of services, 1 pinned, 1 from the images directory]") {
		t.Error(text)
	}

	// What is no longer needed goes, when that is said.
	w.set()
	w.awaitNone()
	w.protect()
	if err := errors.Join(w.host.Pin(bg(), pinned, false), w.host.KeepArchives(bg(), []string{"b.tar"})); err != nil {
		t.Fatal(err)
	}
	w.until("all are gone", func() bool { return len(w.names()) == 0 })
}

// again opens the host anew with other marks.
func (w *world) again(gc ImageGC) {
	w.t.Helper()
	w.close()
	w.config = func(c *Config) { c.ImageGC = gc }
	w.open()
}

func (w *world) protect(images ...string) {
	w.t.Helper()
	if err := w.host.Protect(bg(), images); err != nil {
		w.t.Fatal(err)
	}
}

// TestPinsStay: pins belong to the name, and survive a restart, another import and another pull.
func TestPinsStay(t *testing.T) {
	w, r := emptyWorld(t), newRegistry(t, "", "")
	w.open()
	is := func(what string, want bool) {
		t.Helper()
		list, err := w.host.List(bg())
		if err != nil || len(list) != 1 || list[0].Pinned != want {
			t.Errorf("%s: %+v %v", what, list, err)
		}
	}
	w.importImage()
	is("imported", false)
	if err := w.host.Pin(bg(), "prog:1", true); err != nil {
		t.Fatal(err)
	}
	is("pinned", true)
	w.importImage()
	is("imported again", true)
	w.close()
	w.open()
	is("after a restart", true)
	if err := errors.Join(w.host.Pin(bg(), "prog:1", false), w.host.Pin(bg(), "prog:1", false)); err != nil {
		t.Fatal(err)
	}
	is("unpinned", false)
	if err := w.host.Remove(bg(), "prog:1"); err != nil {
		t.Fatal(err)
	}
	if err := w.host.Pin(bg(), "prog:1", true); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("what is not there is pinned: %v", err)
	}
	r.push("app:1", variant(t, runtime.GOARCH, "one"))
	pull := func() {
		if _, err := w.host.images.pull(w.host.ctx, r.address+"/app:1", ""); err != nil {
			t.Fatal(err)
		}
	}
	pull()
	if err := w.host.Pin(bg(), r.address+"/app:1", true); err != nil {
		t.Fatal(err)
	}
	r.push("app:1", variant(t, runtime.GOARCH, "two"))
	pull()
	is("pulled again", true)
}

// TestPullMakesRoom: an image for which there is no room gets it from those that nobody needs.
func TestPullMakesRoom(t *testing.T) {
	w, r := emptyWorld(t), newRegistry(t, "", "")
	w.small("160M")
	w.config = func(c *Config) { c.ImageGC = ImageGC{High: 80, Low: 60} }
	w.open()
	w.set()
	if err := w.host.Protect(bg(), nil); err != nil {
		t.Fatal(err)
	}
	w.bring("idle:1", host.ImportOptions{})
	w.bring("idle:2", host.ImportOptions{})
	if n := w.names(); len(n) != 2 {
		t.Fatalf("there is room for both: %q", n)
	}
	r.push("big:1", variant(t, runtime.GOARCH, string(noise(40<<20)))) // twice that when unpacked, beside 40 MB of images and 17 of programs
	w.set(r.task("a", "big:1", "sleep"))
	w.awaitPhase("a", host.Running)
	w.until("images are removed", func() bool { return len(w.remarks.of(host.ReasonImagesRemoved)) > 0 })
}

// TestPartsMakeRoom: what came of an image that nobody wants any more goes first, what came of one that is wanted stays.
func TestPartsMakeRoom(t *testing.T) {
	w := newWorld(t)
	part := func(name string) digest.Digest {
		t.Helper()
		data := noise(1 << 20)
		d := ocispec.Descriptor{Digest: digest.FromBytes(data), Size: int64(len(data))}
		held, err := w.host.images.hold(w.host.ctx, name)
		if err == nil {
			err = content.WriteBlob(held, w.host.client.ContentStore(), name, bytes.NewReader(data), d)
		}
		if err != nil {
			t.Fatal(err)
		}
		w.host.images.forgetLater(w.host.ctx, name)
		return d.Digest
	}
	here := func(d digest.Digest) bool {
		_, err := w.host.client.ContentStore().Info(w.host.ctx, d)
		return err == nil
	}
	gone, kept := part("docker.io/library/gone:1"), part("docker.io/library/kept:1")
	w.set()
	if err := w.host.Protect(bg(), []string{"kept:1"}); err != nil {
		t.Fatal(err)
	}
	if err := w.host.gc.dropParts(w.host.ctx); err != nil {
		t.Fatal(err)
	}
	if here(gone) || !here(kept) {
		t.Errorf("unwanted here: %t, wanted here: %t", here(gone), here(kept))
	}
}
