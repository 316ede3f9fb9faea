//go:build e2e

package node

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	v1 "warren.io/warren/apis/v1"
)

// heavy is the demo image with so many bytes more that do not compress.
func heavy(t *testing.T, label string, size int) ggcr.Image {
	t.Helper()
	ballast := make([]byte, size)
	_, _ = rand.Read(ballast)
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(tarWith(t, "ballast-"+label, ballast))), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(helloImage(t, label, ""), layer)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// store writes an image as an archive.
func store(t *testing.T, path, tag string, img ggcr.Image) string {
	t.Helper()
	ref, err := name.NewTag(tag)
	if err == nil {
		err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), tarball.WriteToFile(path+".part", ref, img), os.Rename(path+".part", path))
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// images are the lines of the list, by name.
func (w *world) images() map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(w.ctl("image", "list")) {
		n, rest, _ := strings.Cut(line, " ")
		out[n] = rest
	}
	return out
}

// TestImageCollection: a disk that gets full costs the images that nobody needs, and none of those that a service can go back to.
func TestImageCollection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.smallDisk("500M")
	w.start("--image-gc-high", "55", "--image-gc-low", "50", "--image-gc-min-age", "0s")
	w.ready()
	bring := func(tag string, flags ...string) {
		t.Helper()
		path := store(t, filepath.Join(t.TempDir(), "image.tar"), tag, heavy(t, tag, 10<<20))
		w.ctl(append([]string{"image", "import", path}, flags...)...)
	}
	// Three revisions of a service, all under one tag: each has another content, and the first is not needed any more.
	for i := range 4 {
		bring("warren.io/web:1")
		w.apply(service("web", fmt.Sprintf("image: warren.io/web:1\nenv: {N: '%d'}", i)), "--wait")
	}
	web := w.service("web")
	if len(web.Status.PreviousImages) != v1.KeptImages {
		t.Fatalf("%+v", web.Status)
	}
	bring("warren.io/pinned:1", "--pin")
	bring("warren.io/idle:1")
	if _, ok := w.images()["warren.io/idle:1"]; !ok {
		t.Fatal("it was collected though there is room")
	}
	task := w.one("web", "runs", ready)
	ballast := w.fill(140 << 20)
	bring("warren.io/last:1") // what came is looked at
	w.await("the idle images are gone", func() bool {
		list := w.ctl("image", "list")
		return !strings.Contains(list, "warren.io/idle:1") && !strings.Contains(list, "warren.io/last:1")
	})
	list := w.ctl("image", "list")
	for _, digest := range append([]string{web.Status.Image.Digest}, web.Status.PreviousImages...) {
		contains(t, "images", list, digest[:19])
	}
	contains(t, "images", list, "warren.io/pinned:1", "warren.io/web:1")
	w.await("the event", func() bool { return len(w.events("Node/n1", "ImagesRemoved")) > 0 })
	w.await("the warning", func() bool {
		ok, message := w.check("images")
		return ok && strings.Contains(message, "is more than 55% full and no image can be removed: ")
	})
	contains(t, "events", w.ctl("events", "--for", "node/n1"), "ImagesRemoved", "DiskFull")
	if a := w.readyz(); a.code != 200 {
		t.Errorf("readyz is %d for a disk that is not full: %s", a.code, a.body)
	}

	// Going back two revisions needs nothing from outside, and with space the warning goes.
	w.alive(task)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	w.apply(service("web", "image: warren.io/web@"+web.Status.PreviousImages[1]), "--wait")
	if got := w.one("web", "runs", ready).Status.ImageDigest; got != web.Status.PreviousImages[1] {
		t.Errorf("runs %s", got)
	}
	bring("warren.io/again:1")
	w.await("no warning", func() bool { _, message := w.check("images"); return message == "" })
}

// TestImageScrub: after a kill -9 content that was spoilt since is found, fetched again where it can be, else told.
func TestImageScrub(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newShelf(w)
	s.push("hello:1", helloImage(t, "x", ""))
	w.start()
	w.ready()
	w.ctl("image", "import", helloTar)
	w.apply(service("web", fromShelf("hello:1"))+service("local", image), "--wait")
	web, local := w.one("web", "runs", ready), w.one("local", "runs", ready)
	if err := w.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-w.ended
	spoilt := 0
	err := filepath.WalkDir(filepath.Join(w.host.DataDir, "containerd/io.containerd.content.v1.content/blobs"), func(path string, d os.DirEntry, err error) error {
		if info, e := os.Stat(path); e == nil && info.Mode().IsRegular() && info.Size() > 100_000 { // the layers
			spoilt++
			return errors.Join(err, os.Truncate(path, info.Size()/2))
		}
		return err
	})
	if err != nil || spoilt == 0 {
		t.Fatalf("%d layers, %v", spoilt, err)
	}
	w.start()
	w.ready()
	w.logged("content is damaged and is removed")
	w.await("what both share came from the registry", func() bool {
		list := w.images()
		return strings.Contains(list[registryAddress+"/hello:1"], "Complete") && strings.Contains(list["warren.io/hello:1"], "Complete")
	})
	w.await("the event", func() bool { return len(w.events("Node/n1", "ImageRepaired")) > 0 })
	w.alive(web)
	w.alive(local)
}

// TestKioskWithoutNetwork: a machine that has nothing but two directories comes up and serves.
func TestKioskWithoutNetwork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.host.Cut(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"addr", "flush", "dev", "eth0"}, {"route", "flush", "table", "main"}} {
		if r := w.run("", "ip", args...); r.code != 0 {
			t.Fatalf("ip %q: %s", args, r.err)
		}
	}
	if r := w.run("", "ip", "route"); strings.TrimSpace(r.out) != "" {
		t.Fatalf("there is a route: %s", r.out)
	}
	top := t.TempDir()
	images, manifests := filepath.Join(top, "images"), filepath.Join(top, "manifests")
	alpha := store(t, filepath.Join(images, "alpha.tar"), "warren.io/alpha:1", helloImage(t, "alpha", ""))
	write(t, filepath.Join(images, "broken.tar"), "this is no archive")
	write(t, filepath.Join(images, "README.txt"), "not an archive at all")
	write(t, filepath.Join(manifests, "a.yaml"), service("alpha", "image: warren.io/alpha:1"))
	long := time.Now().Add(-time.Hour)
	for _, f := range []string{alpha, filepath.Join(images, "broken.tar")} {
		if err := os.Chtimes(f, long, long); err != nil {
			t.Fatal(err)
		}
	}
	w.start("--images", images, "--manifests", manifests)
	task := w.one("alpha", "runs", ready)
	w.alive(task)

	// It never had to ask for its image: that was there before the service was.
	if e := w.events("Task/"+task.Metadata.Name, "ImagePull"); len(e) > 0 || task.Status.Restarts > 0 {
		t.Errorf("%+v %+v", e, task.Status)
	}
	broken := func(words ...string) bool {
		ok, message := w.check("images-dir")
		for _, word := range words {
			ok = ok || !strings.Contains(message, word)
		}
		return !ok
	}
	w.await("the broken archive is named", func() bool { return broken(filepath.Join(images, "broken.tar")) })
	w.logged("level=ERROR", "not all image archives are imported, the others are used", "broken.tar")
	w.await("the event", func() bool { return len(w.events("Node/n1", "ImagesRefused")) == 1 })

	// What comes while it runs is imported too, and what is mended.
	write(t, filepath.Join(manifests, "b.yaml"), service("beta", "image: warren.io/beta:1"))
	store(t, filepath.Join(images, "beta.tar"), "warren.io/beta:1", helloImage(t, "beta", ""))
	store(t, filepath.Join(images, "broken.tar"), "warren.io/mended:1", helloImage(t, "mended", ""))
	w.alive(w.one("beta", "runs", ready))
	w.await("all is well", func() bool { ok, _ := w.check("images-dir"); return ok && w.readyz().code == 200 })
	contains(t, "images", w.ctl("image", "list"), "warren.io/alpha:1", "warren.io/beta:1", "warren.io/mended:1")

	// A second start reads no archive again, but one whose image is gone.
	w.ctl("image", "rm", "warren.io/mended:1")
	w.terminate()
	data, _ := os.ReadFile(w.logs)
	before := len(data)
	w.start("--images", images, "--manifests", manifests)
	w.await("what was removed is back", func() bool { return strings.Contains(w.try("image", "list").out, "warren.io/mended:1") })
	w.await("it is ready", func() bool { return w.readyz().code == 200 })
	data, _ = os.ReadFile(w.logs)
	if n := strings.Count(string(data[before:]), `msg="images imported"`); n != 1 {
		t.Errorf("%d archives were imported at the second start, want 1", n)
	}
	w.alive(task)
}

// tarWith is an archive of one file.
func tarWith(t *testing.T, name string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))})
	if err == nil {
		_, err = w.Write(data)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestImagesThatComeLate: a directory that is not there, as of a stick that nobody has put in yet, holds up nothing, and what
// it brings is used when it comes. When it goes, nothing does.
func TestImagesThatComeLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	top := t.TempDir()
	images, manifests := filepath.Join(top, "stick", "images"), filepath.Join(top, "manifests")
	write(t, filepath.Join(manifests, "a.yaml"), service("alpha", "image: warren.io/alpha:1"))
	w.start("--images", images, "--manifests", manifests)
	w.await("the service is there", func() bool { return len(w.tasks("alpha")) == 1 })
	w.await("it is told what is missing", func() bool {
		ok, message := w.check("images-dir")
		return !ok && strings.Contains(message, images+": no such file or directory")
	})
	store(t, filepath.Join(images, "alpha.tar"), "warren.io/alpha:1", helloImage(t, "alpha", ""))
	task := w.one("alpha", "runs", ready)
	w.alive(task)
	if err := os.RemoveAll(filepath.Dir(images)); err != nil {
		t.Fatal(err)
	}
	w.await("it is told", func() bool { ok, _ := w.check("images-dir"); return !ok })
	contains(t, "images", w.ctl("image", "list"), "warren.io/alpha:1")
	w.alive(task)
}

// TestImagesKilled: warren is killed at several moments of an import. In the end all archives are there, whole.
func TestImagesKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir, names := t.TempDir(), []string{"warren.io/a:1", "warren.io/b:1", "warren.io/c:1"}
	long := time.Now().Add(-time.Hour)
	for i, n := range names {
		path := store(t, filepath.Join(dir, fmt.Sprint(i)+".tar"), n, heavy(t, n, 30<<20))
		if err := os.Chtimes(path, long, long); err != nil {
			t.Fatal(err)
		}
	}
	some := func(pattern string) func() bool {
		return func() bool {
			found, _ := filepath.Glob(filepath.Join(w.host.DataDir, "containerd", pattern))
			return len(found) > 0
		}
	}
	imported := func(count int) func() bool {
		return func() bool {
			data, _ := os.ReadFile(w.logs)
			return strings.Count(string(data), `msg="images imported"`) >= count
		}
	}
	for _, moment := range []func() bool{
		some("io.containerd.content.v1.content/ingest/*"), some("io.containerd.content.v1.content/blobs/sha256/*"),
		some("io.containerd.snapshotter.v1.overlayfs/snapshots/*/fs/ballast-*"), imported(1), imported(2),
	} {
		w.start("--images", dir)
		for end := time.Now().Add(patience); !moment() && time.Now().Before(end); time.Sleep(time.Millisecond) {
		}
		if err := w.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-w.ended
	}
	w.start("--images", dir)
	w.await("all archives are imported", func() bool { ok, _ := w.check("images-dir"); return ok && w.readyz().code == 200 })
	for _, n := range names {
		if line := w.images()[n]; !strings.Contains(line, "Complete") || strings.Contains(line, "Incomplete") {
			t.Errorf("%s: %s", n, line)
		}
	}
	if _, message := w.check("images"); message != "" {
		t.Error(message)
	}
	w.apply(service("c", "image: warren.io/c:1"), "--wait")
	w.alive(w.one("c", "runs", ready))
}
