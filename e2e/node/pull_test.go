//go:build e2e

package node

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/containerd/registry/registrytest"
)

// slack is how many bytes of a layer may come twice over a kill: what was read but not written yet.
const slack = 1<<20 + 64<<10

// noise is a layer of so many bytes that cannot be compressed.
func noise(t *testing.T, seed uint64, size int) ggcr.Layer {
	t.Helper()
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(data)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("noise-%d", seed), Mode: 0o644, Size: int64(size)}); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(data)
	_ = w.Close()
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func digestOf(t *testing.T, l ggcr.Layer) (digest string, size int64) {
	t.Helper()
	d, err := l.Digest()
	if err == nil {
		size, err = l.Size()
	}
	if err != nil {
		t.Fatal(err)
	}
	return d.String(), size
}

// with is the demo image with more layers.
func with(t *testing.T, label string, layers ...ggcr.Layer) ggcr.Image {
	t.Helper()
	img, err := mutate.AppendLayers(helloImage(t, label, ""), layers...)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// once fails if any content was asked for twice.
func once(t *testing.T, r *registrytest.Registry, but ...string) {
	t.Helper()
	seen := map[string]int{}
	for _, g := range r.Gets("") {
		seen[g.Digest]++
	}
	for _, d := range but {
		delete(seen, d)
	}
	for d, n := range seen {
		if n != 1 {
			t.Errorf("%s was asked for %d times: %+v", d, n, r.Gets(d))
		}
	}
}

func TestPullGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newShelf(w)
	big := noise(t, 1, 8<<20)
	digest, size := digestOf(t, big)
	s.push("hello:big", with(t, "big", big))
	s.count.Set(registrytest.Rules{Hold: map[string]int64{digest: size / 2}})
	w.start()
	w.ready()
	w.apply(service("web", fromShelf("hello:big")))
	w.await("half of the layer is here, and all else", func() bool {
		return s.count.Sent(digest) == size/2 && w.ingests() == 1 && w.begun() >= size/2-slack
	})
	if err := w.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-w.ended
	s.count.Set(registrytest.Rules{})
	w.start()
	w.ready()
	w.one("web", "runs", ready)
	gets := s.count.Gets(digest)
	if len(gets) != 2 || gets[0].Range != "" || !strings.HasPrefix(gets[1].Range, "bytes=") {
		t.Errorf("requests for the layer: %+v", gets)
	}
	if sent := s.count.Sent(digest); sent > size+slack {
		t.Errorf("%d bytes of a layer of %d were sent", sent, size)
	}
	once(t, s.count, digest)
	w.await("nothing half-fetched is left", func() bool { return w.ingests() == 0 })
}

// begun is how many bytes of unfinished content the node has on its disk.
func (w *world) begun() (sum int64) {
	files, _ := filepath.Glob(filepath.Join(w.host.DataDir, "containerd/io.containerd.content.v1.content/ingest/*/data"))
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

func (w *world) ingests() int {
	dirs, _ := filepath.Glob(filepath.Join(w.host.DataDir, "containerd/io.containerd.content.v1.content/ingest/*"))
	return len(dirs)
}

// A connection that is cut does not cost what came over it, and neither does a registry that is away for a while.
func TestPullGoesOnAfterACut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newShelf(w)
	big := noise(t, 2, 4<<20)
	digest, size := digestOf(t, big)
	s.push("hello:cut", with(t, "cut", big))
	s.count.Set(registrytest.Rules{Cut: map[string]int64{digest: 1 << 20}})
	w.start()
	w.ready()
	w.apply(service("web", fromShelf("hello:cut")))
	w.await("it was cut", func() bool { return len(s.count.Gets(digest)) > 1 })
	s.close()
	w.await("it says why it waits", func() bool {
		tasks := w.current("web")
		return len(tasks) == 1 && (tasks[0].Status.Reason == "ImagePull" || ready(tasks[0]))
	})
	s.count.Set(registrytest.Rules{})
	s.open()
	w.one("web", "runs", ready)
	if sent := s.count.Sent(digest); sent > size+slack {
		t.Errorf("%d bytes of a layer of %d were sent: %+v", sent, size, s.count.Gets(digest))
	}
}

// Images that share layers, and the same image by two names, cost each digest once, however many tasks want them at once.
func TestContentIsFetchedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newShelf(w)
	shared, own := noise(t, 3, 3<<20), noise(t, 4, 1<<20)
	first := with(t, "same", shared)
	s.push("a:1", first)
	s.push("a:latest", first)
	s.push("b:1", with(t, "other", shared, own))
	s.count.Set(registrytest.Rules{Slow: 5 * time.Millisecond})
	w.start()
	w.ready()
	w.apply(service("a", fromShelf("a:1")+"replicas: 2") + service("latest", fromShelf("a")) + service("b", fromShelf("b:1")))
	for _, name := range []string{"a", "latest", "b"} {
		w.await(name+" runs", func() bool { r := w.service(name); return r.Status.Ready == r.Status.Desired && r.Status.Ready > 0 })
	}
	once(t, s.count)
	digest, size := digestOf(t, shared)
	if sent := s.count.Sent(digest); sent != size {
		t.Errorf("%d bytes of the shared layer of %d were sent", sent, size)
	}
}

func TestPullLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newShelf(w)
	var layers []ggcr.Layer
	for i := range 5 {
		layers = append(layers, noise(t, uint64(10+i), 512<<10))
	}
	s.push("hello:wide", with(t, "wide", layers...))
	s.push("hello:narrow", with(t, "narrow", noise(t, 20, 3<<20)))
	s.count.Set(registrytest.Rules{Slow: 10 * time.Millisecond})
	w.start("--pull-parallel", "2", "--pull-rate", "1Mi")
	w.ready()
	w.apply(service("wide", fromShelf("hello:wide")), "--wait")
	if most := s.count.Most(); most != 2 {
		t.Errorf("%d layers were fetched at once, want 2", most)
	}
	s.count.Set(registrytest.Rules{})
	before, since := s.count.Sent(""), time.Now()
	w.apply(service("narrow", fromShelf("hello:narrow")), "--wait")
	const ahead = 1 << 20 // what the bucket and the sockets hold
	if sent, most := s.count.Sent("")-before, ahead+int64(time.Since(since).Seconds()*(1<<20)); sent > most {
		t.Errorf("%d bytes in %s, with a limit of 1Mi a second", sent, time.Since(since))
	}
}

func TestMirrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mirror := newShelfAt(w, "127.0.0.1:5001")
	s := newShelf(w)
	big := noise(t, 30, 4<<20)
	digest, size := digestOf(t, big)
	img := with(t, "mirrored", big)
	mirror.push("library/app:1", img)
	mirror.push("hello:half", img)
	s.push("hello:half", img)
	s.push("hello:own", helloImage(t, "only here", ""))
	mirror.count.Set(registrytest.Rules{Lose: map[string]int64{digest: 2 << 20}})
	w.start("--registry-mirror", registryAddress+"=http://127.0.0.1:5999", "--registry-mirror", registryAddress+"=http://127.0.0.1:5001",
		"--registry-mirror", "docker.io=http://127.0.0.1:5001")
	w.ready()

	// The first mirror is down, the second breaks off and has nothing more: the registry itself gives the rest.
	w.apply(service("half", fromShelf("hello:half")), "--wait")
	if own := s.count.Gets(digest); len(own) != 1 || own[0].Range == "" || s.count.Sent(digest)+mirror.count.Sent(digest) > size+slack {
		t.Errorf("asked of the registry: %+v, of the mirror: %+v", own, mirror.count.Gets(digest))
	}
	// What no mirror has comes from the registry.
	w.apply(service("own", fromShelf("hello:own")), "--wait")
	// The registry itself cannot be reached at all, and need not be.
	mirror.count.Set(registrytest.Rules{})
	w.apply(service("app", "image: app:1"), "--wait")
	contains(t, "images", w.ctl("get", "images"), "docker.io/library/app:1")
}

func TestRegistryFlagsAreChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, bad := range [][3]string{
		{"--registry-mirror", "docker.io", "write REGISTRY=URL"},
		{"--registry-mirror", "docker.io=mirror:5000", "must begin with https://HOST"},
		{"--pull-parallel", "0", "use 1 to 64"},
		{"--pull-rate", "fast", `--pull-rate "fast"`},
		{"--pull-rate", "5", "use at least 1Ki"},
		{"--registry-ca", "/nothing/here", "no such file"},
	} {
		r := w.run("", warren, "run", "--data-dir", w.host.DataDir, "--run-dir", w.host.RunDir, bad[0], bad[1])
		if r.code != 2 || !strings.Contains(r.err, bad[0]) || !strings.Contains(r.err, bad[2]) {
			t.Errorf("%s %s: exit %d\n%s", bad[0], bad[1], r.code, r.err)
		}
	}
}

func TestCredentialHelper(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newShelf(w)
	s.push("hello:1", helloImage(t, "helped", ""))
	s.login.Store("ann:s3cret-word")
	dir := t.TempDir()
	file, seen := filepath.Join(dir, "config.json"), filepath.Join(dir, "seen")
	write(t, file, `{"credHelpers": {"`+registryAddress+`": "vault"}}`)
	w.env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "AWS_SECRET=not-for-helpers"}
	w.start("--registry-credentials", file)
	w.ready()
	w.apply(service("web", fromShelf("hello:1")))
	task := w.one("web", "is refused", func(t *v1.Task) bool { return t.Status.Reason == "ImagePull" })
	contains(t, "message", task.Status.Message, "docker-credential-vault for "+registryAddress+" is not installed")
	script := "#!/bin/sh\nread -r at\n{ echo \"$1 $at\"; env; } > " + seen + ".new\nmv " + seen + ".new " + seen +
		"\necho '{\"Username\":\"ann\",\"Secret\":\"s3cret-word\"}'\n"
	program := filepath.Join(dir, "docker-credential-vault")
	write(t, program+".new", script)
	if err := os.Chmod(program+".new", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(program+".new", program); err != nil {
		t.Fatal(err)
	}
	w.one("web", "runs", ready)
	said, err := os.ReadFile(seen)
	if err != nil || !strings.HasPrefix(string(said), "get "+registryAddress+"\n") || strings.Contains(string(said), "AWS") {
		t.Errorf("the helper saw %q (%v)", said, err)
	}
	log, err := os.ReadFile(w.logs)
	if err != nil || strings.Contains(string(log), "-word") {
		t.Errorf("a password is in the node's log (%v)", err)
	}
}

// following starts warrenctl, until the end of the test, and returns what says what it has printed so far.
func (w *world) following(args ...string) func() string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "out")
	out, err := os.Create(path)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := w.host.Command(ctx, warrenctl, args...)
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		cancel()
		_, _ = cmd.Wait(), out.Close()
	})
	return func() string {
		data, _ := os.ReadFile(path)
		return string(data)
	}
}

// revision is the store's newest.
func (w *world) revision() int64 {
	w.t.Helper()
	var list struct{ Revision int64 }
	a, err := get(w.socket, "http://node/v1/tasks")
	if err == nil {
		err = json.Unmarshal([]byte(a.body), &list)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return list.Revision
}

func TestPullIsShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newShelf(w)
	big := noise(t, 40, 8<<20)
	digest, size := digestOf(t, big)
	s.push("hello:show", with(t, "show", big))
	s.count.Set(registrytest.Rules{Hold: map[string]int64{digest: size / 2}, Slow: 20 * time.Millisecond})
	w.start()
	w.ready()
	none := w.try("get", "images")
	if none.code != 0 || !strings.Contains(none.err, "no images") {
		t.Errorf("%+v", none)
	}
	waited := make(chan result, 1)
	go func() {
		waited <- w.run(service("web", fromShelf("hello:show")), warrenctl, "apply", "--wait", "-f", "-")
	}()
	const name = registryAddress + "/hello:show"
	w.await("it comes", func() bool { return s.count.Sent(digest) > 1<<20 })
	revision := w.revision()
	var pull host.Pull
	w.await("half of it is here", func() bool {
		var list struct{ Items []struct{ Pull *host.Pull } }
		text := w.ctl("get", "images", "-o", "json")
		if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Items) != 1 || list.Items[0].Pull == nil {
			t.Fatalf("%v\n%s", err, text)
		}
		pull = *list.Items[0].Pull
		return pull.Total-pull.Done == size-size/2
	})
	if now := w.revision(); now != revision {
		t.Errorf("the store went from revision %d to %d by what only memory should know", revision, now)
	}
	status := fmt.Sprintf("Pulling %d%% %s/%s", 100*pull.Done/pull.Total, v1.Size(meta.Bytes(pull.Done)), v1.Size(meta.Bytes(pull.Total)))
	contains(t, "images", w.ctl("get", "images"), name, status)
	contains(t, "names", w.ctl("get", "images", "-o", "name"), "image/"+name)
	contains(t, "task", w.ctl("describe", "task/web-1-1"), status)
	watched := w.following("get", "images", "-w")
	w.await("half is shown to who watches", func() bool { return strings.Contains(watched(), status) })
	s.count.Set(registrytest.Rules{})
	s.close()
	s.open()
	r := <-waited
	if r.code != 0 {
		t.Fatalf("%+v", r)
	}
	contains(t, "what apply said", r.err, "0 of 1 ready, 1 Preparing, pulling "+name, "1 of 1 ready")
	contains(t, "images", w.ctl("get", "images"), name, "Complete")
	w.await("the end is shown to who watches", func() bool { return strings.Contains(watched(), "Complete") })
}

// A node that is removed while it fetches leaves nothing in the containerd of somebody else.
func TestResetLeavesNoParts(t *testing.T) {
	t.Parallel()
	owner := running(t)
	socket := filepath.Join(owner.host.RunDir, "containerd", "containerd.sock")
	w := newWorld(t)
	s := newShelf(w)
	big := noise(t, 50, 4<<20)
	digest, size := digestOf(t, big)
	s.push("hello:big", with(t, "left", big))
	s.count.Set(registrytest.Rules{Hold: map[string]int64{digest: size / 2}})
	w.start("--containerd", socket)
	w.ready()
	w.apply(service("web", fromShelf("hello:big")))
	w.await("a part is here", func() bool { return owner.ingests() == 1 && owner.begun() >= 1<<20 })
	w.terminate()
	if r := w.run("", warren, append([]string{"reset", "--yes", "--containerd", socket}, w.dirFlags()...)...); r.code != 0 {
		t.Fatalf("reset: %+v", r)
	}
	w.await("nothing half-fetched is left", func() bool { return owner.ingests() == 0 })
}
