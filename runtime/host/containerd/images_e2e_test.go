//go:build e2e

package containerd

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	ggregistry "github.com/google/go-containerregistry/pkg/registry"
	ggcr "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/klauspost/compress/zstd"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/containerd/registry"
)

// registryAt serves the same content for as long as it is not stopped, at an address that does not change.
type registryAt struct {
	t       *testing.T
	address string
	handler http.Handler
	server  *http.Server
}

var asJoe = remote.WithAuth(&authn.Basic{Username: "joe", Password: "secret"})

func newRegistry(t *testing.T, user, password string) *registryAt {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	inner := ggregistry.New(ggregistry.Logger(log.New(io.Discard, "", 0)))
	r := &registryAt{t: t, address: l.Addr().String(), handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		u, p, _ := q.BasicAuth()
		if user == "" || u == user && p == password {
			inner.ServeHTTP(w, q)
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
		w.WriteHeader(http.StatusUnauthorized)
	})}
	r.serve(l)
	t.Cleanup(r.stop)
	return r
}

func (r *registryAt) serve(l net.Listener) {
	r.server = &http.Server{Handler: r.handler}
	go func(s *http.Server) { _ = s.Serve(l) }(r.server)
}

func (r *registryAt) stop() { _ = r.server.Close() }

func (r *registryAt) restart() {
	l, err := net.Listen("tcp4", r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.serve(l)
}

// variant is an image with the test program for one architecture, told apart by mark.
func variant(t *testing.T, arch, mark string) ggcr.Image {
	t.Helper()
	prog, err := os.ReadFile(progFile(t))
	if err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(tarOf(file{"prog", prog, 0o755}, file{"mark", []byte(mark), 0o644}))), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	img, err = mutate.ConfigFile(img, withConfig(img, arch))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func withConfig(img ggcr.Image, arch string) *ggcr.ConfigFile {
	c, _ := img.ConfigFile()
	c = c.DeepCopy()
	c.OS, c.Architecture = "linux", arch
	c.Config.Entrypoint = []string{"/prog"}
	return c
}

func (r *registryAt) push(repo string, images ...ggcr.Image) string {
	r.t.Helper()
	ref, err := name.ParseReference(r.address+"/"+repo, name.Insecure)
	if err != nil {
		r.t.Fatal(err)
	}
	if len(images) == 1 {
		d, _ := images[0].Digest()
		if err := remote.Write(ref, images[0], asJoe); err != nil {
			r.t.Fatal(err)
		}
		return d.String()
	}
	var index ggcr.ImageIndex = empty.Index
	for _, img := range images {
		c, _ := img.ConfigFile()
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img,
			Descriptor: ggcr.Descriptor{Platform: &ggcr.Platform{OS: "linux", Architecture: c.Architecture}}})
	}
	d, _ := index.Digest()
	if err := remote.WriteIndex(ref, index, asJoe); err != nil {
		r.t.Fatal(err)
	}
	return d.String()
}

func otherArch() string {
	if runtime.GOARCH == "arm64" {
		return "amd64"
	}
	return "arm64"
}

func (r *registryAt) task(n, repo string, args ...string) host.Task {
	t := task(n, args...)
	t.Template.Image = r.address + "/" + repo
	return t
}

func TestPullOnceThenNoNetwork(t *testing.T) {
	w, r := newWorld(t), newRegistry(t, "", "")
	want := r.push("app:1", variant(t, otherArch(), "other"), variant(t, runtime.GOARCH, "mine"))
	w.set(r.task("a", "app:1", "sleep"))
	s := w.awaitPhase("a", host.Running)
	if s.ImageDigest != want {
		t.Errorf("digest %s, want the index %s", s.ImageDigest, want)
	}
	slices.Sort(s.Platforms)
	if !slices.Equal(s.Platforms, []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("platforms: %v", s.Platforms)
	}
	r.stop()
	pinned := r.task("c", "app:1", "sleep")
	pinned.ImageDigest = want
	w.set(r.task("b", "app:1", "sleep"), pinned)
	w.awaitPhase("b", host.Running)
	w.awaitPhase("c", host.Running)
}

func TestPinnedDigestAfterTagMoved(t *testing.T) {
	w, r := newWorld(t), newRegistry(t, "", "")
	old := r.push("app:1", variant(t, runtime.GOARCH, "old"))
	moved := r.push("app:1", variant(t, runtime.GOARCH, "new"))
	a := r.task("a", "app:1", "sleep")
	a.ImageDigest = old
	w.set(a, r.task("b", "app:1", "sleep"))
	if s := w.awaitPhase("a", host.Running); s.ImageDigest != old {
		t.Errorf("%+v", s)
	}
	if s := w.awaitPhase("b", host.Running); s.ImageDigest != moved {
		t.Errorf("%+v", s)
	}
}

func TestPullBacksOffAndRecovers(t *testing.T) {
	w, r := newWorld(t), newRegistry(t, "", "")
	r.push("app:1", variant(t, runtime.GOARCH, "x"))
	r.stop()
	w.set(r.task("a", "app:1", "sleep"))
	w.await("backing off", func(s []host.State) bool {
		return len(s) == 1 && s[0].Phase == host.Pulling && s[0].Reason == host.ReasonImagePull && s[0].Message != "" && s[0].RetryAt.After(time.Now())
	})
	r.restart()
	w.awaitPhase("a", host.Running)
	w.set(r.task("a", "app:1", "sleep"), r.task("b", "none:1", "sleep"))
	w.await("not found", func(s []host.State) bool {
		return len(s) == 2 && s[1].Reason == host.ReasonImagePull && strings.Contains(s[1].Message, "not found")
	})
	w.set(r.task("a", "app:1", "sleep")) // ends the pause at once
	w.await("b is gone", func(s []host.State) bool { return len(s) == 1 })
}

func TestCredentials(t *testing.T) {
	w, r := emptyWorld(t), newRegistry(t, "joe", "secret")
	r.push("app:1", variant(t, runtime.GOARCH, "x"))
	auth := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(auth, []byte(`{"auths":{}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	w.open()
	w.host.images.source = source(t, registry.Config{Credentials: auth})
	w.set(r.task("a", "app:1", "sleep"))
	w.await("refused", func(s []host.State) bool { return s[0].Reason == host.ReasonImagePull })
	config := `{"auths":{"` + r.address + `":{"username":"joe","password":"secret"}}}`
	if err := os.WriteFile(auth, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	w.awaitPhase("a", host.Running) // the file is read anew for each pull
}

func TestOtherPlatformIsRejected(t *testing.T) {
	w, r := newWorld(t), newRegistry(t, "", "")
	r.push("one:1", variant(t, otherArch(), "x"))
	r.push("two:1", variant(t, otherArch(), "x"), variant(t, "s390x", "y"))
	w.set(r.task("a", "one:1", "sleep"), r.task("b", "two:1", "sleep"))
	if s := w.awaitPhase("a", host.Rejected); s.Reason != host.ReasonPlatformMismatch || !slices.Equal(s.Platforms, []string{"linux/" + otherArch()}) {
		t.Errorf("%+v", s)
	}
	s := w.awaitPhase("b", host.Rejected)
	if s.Reason != host.ReasonPlatformMismatch || len(s.Platforms) != 2 {
		t.Errorf("%+v", s)
	}
}

func TestImportListRemove(t *testing.T) {
	w := emptyWorld(t)
	w.open()
	plain := testImage(t)
	var zipped, packed bytes.Buffer
	g := gzip.NewWriter(&zipped)
	_, _ = g.Write(plain)
	_ = g.Close()
	z, _ := zstd.NewWriter(&packed)
	_, _ = z.Write(plain)
	_ = z.Close()
	for _, data := range [][]byte{plain, zipped.Bytes(), packed.Bytes()} {
		got, err := w.host.Import(bg(), bytes.NewReader(data), host.ImportOptions{})
		if err != nil || len(got) != 1 || got[0].Name != "docker.io/library/prog:1" || !slices.Equal(got[0].Platforms, []string{"linux/" + runtime.GOARCH}) {
			t.Fatalf("%+v %v", got, err)
		}
	}
	list, err := w.host.List(bg())
	if err != nil || len(list) != 1 || list[0].Size < 1<<20 || list[0].Created.IsZero() {
		t.Errorf("%+v %v", list, err)
	}
	w.set(task("a", "exit", "0"))
	w.awaitPhase("a", host.Exited)
	if err := w.host.Remove(bg(), "prog:1"); err == nil || !strings.Contains(err.Error(), "task a uses it") {
		t.Errorf("%v", err)
	}
	w.set()
	w.awaitNone()
	if err := w.host.Remove(bg(), list[0].Digest); err != nil {
		t.Error(err)
	}
	if err := w.host.Remove(bg(), "prog:1"); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if _, err := w.host.Import(bg(), bytes.NewReader(packImage(t, otherArch(), "alien:1")), host.ImportOptions{}); err == nil || !strings.Contains(err.Error(), "no variant") {
		t.Errorf("%v", err)
	}
	if _, err := w.host.Import(bg(), strings.NewReader("this is no archive"), host.ImportOptions{}); err == nil {
		t.Error("garbage was imported")
	}
	if list, _ := w.host.List(bg()); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}
