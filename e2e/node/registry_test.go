//go:build e2e

package node

import (
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	ggcr "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host/containerd/registry/registrytest"
)

const registryAddress = "127.0.0.1:5000"

// shelf is a registry on the loopback device of the host.
type shelf struct {
	w        *world
	address  string
	count    *registrytest.Registry
	server   *http.Server
	requests atomic.Int64
	login    atomic.Value // "user:password" that is asked for, "" for none

	mu      sync.Mutex
	refused []string // user names of logins that were wrong
}

func newShelf(w *world) *shelf { return newShelfAt(w, registryAddress) }

func newShelfAt(w *world, address string) *shelf {
	s := &shelf{w: w, address: address, count: registrytest.New(registry.New(registry.Logger(log.New(io.Discard, "", 0))))}
	s.login.Store("")
	s.open()
	w.t.Cleanup(s.close)
	return s
}

// open makes the registry reachable, with what it had before.
func (s *shelf) open() {
	s.w.t.Helper()
	var l net.Listener
	err := s.w.host.Do(func() (err error) { l, err = net.Listen("tcp4", s.address); return err })
	if err != nil {
		s.w.t.Fatal(err)
	}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second}
	go func(server *http.Server) { _ = server.Serve(l) }(s.server)
}

func (s *shelf) close() { _ = s.server.Close() }

// ServeHTTP counts and asks for the login.
func (s *shelf) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	user, password, given := r.BasicAuth()
	if want := s.login.Load().(string); want != "" && user+":"+password != want {
		if given {
			s.mu.Lock()
			s.refused = append(s.refused, user)
			s.mu.Unlock()
		}
		rw.Header().Set("WWW-Authenticate", `Basic realm="shelf"`)
		http.Error(rw, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
		return
	}
	s.count.ServeHTTP(rw, r)
}

// push puts an image there under a tag and returns its digest.
func (s *shelf) push(tag string, img ggcr.Image) string {
	s.w.t.Helper()
	ref, err := name.ParseReference(s.address + "/" + tag)
	if err != nil {
		s.w.t.Fatal(err)
	}
	if err := remote.Write(ref, img, remote.WithTransport(s.w.inside.Transport)); err != nil {
		s.w.t.Fatal(err)
	}
	d, err := img.Digest()
	if err != nil {
		s.w.t.Fatal(err)
	}
	return d.String()
}

// helloImage is the demo image with another label and maybe for another machine: the same program with another digest.
func helloImage(t *testing.T, label, arch string) ggcr.Image {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("tar", "-xf", helloTar, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("unpack %s: %v %s", helloTar, err, out)
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	img, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.Config.Labels = map[string]string{"variant": label}
	if arch != "" {
		config.Architecture = arch
	}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

func fromShelf(ref string) string { return "image: " + registryAddress + "/" + ref + "\n" }

func TestPullPinsTheDigest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newShelf(w)
	w.start()
	w.ready()
	old := s.push("hello:1", helloImage(t, "old", ""))
	w.apply(service("web", fromShelf("hello:1")), "--wait")
	first := w.one("web", "runs", ready)
	if first.Status.ImageDigest != old || first.Spec.ImageDigest != "" {
		t.Errorf("the first task runs %s and was given %q, want %s", first.Status.ImageDigest, first.Spec.ImageDigest, old)
	}

	fresh := s.push("hello:1", helloImage(t, "new", ""))
	pulled := s.requests.Load()
	w.apply(service("web", fromShelf("hello:1")+"replicas: 3"), "--wait")
	for _, task := range w.current("web") {
		if task.Status.ImageDigest != old || task.Metadata.Name != first.Metadata.Name && task.Spec.ImageDigest != old {
			t.Errorf("%s runs %s (given %s), want %s", task.Metadata.Name, task.Status.ImageDigest, task.Spec.ImageDigest, old)
		}
	}
	w.apply(service("other", fromShelf("hello:1")), "--wait")
	w.apply(service("pinned", fromShelf("hello@"+old)), "--wait")
	if n := s.requests.Load() - pulled; n != 0 {
		t.Errorf("%d requests for content that is here", n)
	}

	// A name that is here is not asked for again; without it the next template sees where the tag has moved to.
	w.ctl("delete", "service/web", "service/other", "service/pinned")
	w.await("no task is left", func() bool { return len(w.list("tasks")) == 0 })
	w.ctl("image", "rm", registryAddress+"/hello:1")
	w.apply(service("web", fromShelf("hello:1")), "--wait")
	if got := w.one("web", "runs", ready).Status.ImageDigest; got != fresh {
		t.Errorf("a new service runs %s, want %s, which the tag means now", got, fresh)
	}
	second := s.push("hello:2", helloImage(t, "two", ""))
	w.apply(service("web", fromShelf("hello:2")+"replicas: 2"), "--wait")
	for _, task := range w.current("web") {
		if task.Status.ImageDigest != second {
			t.Errorf("%s runs %s, want %s", task.Metadata.Name, task.Status.ImageDigest, second)
		}
	}
	contains(t, "images", w.ctl("image", "list"), registryAddress+"/hello:2", second[:19])
}

func TestRegistryDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newShelf(w)
	digest := s.push("hello:1", helloImage(t, "x", ""))
	s.close()
	w.start()
	w.ready()
	w.apply(service("web", fromShelf("hello:1")))
	task := w.one("web", "says why", func(t *v1.Task) bool { return t.Status.Reason == "ImagePull" })
	contains(t, "message", task.Status.Message, "pull "+registryAddress+"/hello:1", "connection refused")
	if task.Status.Phase != v1.TaskPreparing || ready(task) {
		t.Errorf("status %+v", task.Status)
	}
	contains(t, "list", w.ctl("get", "tasks", "-o", "wide"), "ImagePull", "connection refused")
	s.open()
	task = w.one("web", "runs", ready)
	if task.Status.ImageDigest != digest || task.Status.Message != "" || task.Metadata.Name != "web-1-1" {
		t.Errorf("after recovery: %s %+v", task.Metadata.Name, task.Status)
	}
	// An image that is not there is another matter than a registry that is not.
	w.apply(service("none", fromShelf("nothing:7")))
	none := w.one("none", "says why", func(t *v1.Task) bool { return t.Status.Reason == "ImagePull" })
	contains(t, "message", none.Status.Message, "not found")
	before := s.requests.Load()
	w.await("it is asked for again", func() bool { return s.requests.Load() > before })
	s.push("nothing:7", helloImage(t, "late", ""))
	w.one("none", "runs", ready)
}

func credentials(t *testing.T, path, login string) {
	t.Helper()
	write(t, path, fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, registryAddress, base64.StdEncoding.EncodeToString([]byte(login))))
}

func TestRegistryCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newShelf(w)
	s.push("hello:1", helloImage(t, "secret", ""))
	s.login.Store("ann:s3cret-word")
	file := filepath.Join(t.TempDir(), "config.json")
	credentials(t, file, "ann:wrong-word")
	w.start("--registry-credentials", file)
	w.ready()
	w.apply(service("web", fromShelf("hello:1")))
	task := w.one("web", "is refused", func(t *v1.Task) bool { return t.Status.Reason == "ImagePull" })
	contains(t, "message", task.Status.Message, "pull "+registryAddress+"/hello:1", "401")
	s.mu.Lock()
	if !slices.Contains(s.refused, "ann") {
		t.Errorf("the wrong login never reached the registry: %q", s.refused)
	}
	s.mu.Unlock()
	write(t, file, `{"auths": {}}`)
	before := s.requests.Load()
	w.await("tries without a login", func() bool { return s.requests.Load() > before })
	w.one("web", "is still refused", func(t *v1.Task) bool { return t.Status.Reason == "ImagePull" })
	credentials(t, file, "ann:s3cret-word") // read anew with every pull
	w.one("web", "runs", ready)
	data, err := os.ReadFile(w.logs)
	if err != nil || strings.Contains(string(data), "-word") {
		t.Errorf("a password is in the node's log (%v)", err)
	}
	if text := w.ctl("get", "all", "-o", "yaml") + w.ctl("events"); strings.Contains(text, "-word") {
		t.Error("a password is in the store")
	}
}

func TestOtherPlatform(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newShelf(w)
	const arch = "riscv64"
	digest := s.push("hello:riscv", helloImage(t, "x", arch))
	w.start()
	w.ready()
	w.apply(service("web", fromShelf("hello:riscv")))
	task := w.one("web", "is pending for its platform", func(t *v1.Task) bool {
		return len(t.Status.Pending) > 0 && slices.ContainsFunc(t.Spec.Platforms, func(p string) bool { return strings.Contains(p, arch) })
	})
	if p := task.Status.Pending[0]; p.Nodes != 1 || p.Cause != "platform" || task.Spec.Node != "" {
		t.Errorf("%s on %q is pending: %+v", task.Metadata.Name, task.Spec.Node, p)
	}
	if e := w.events("Task/web-1-1", "Rejected"); len(e) != 1 || !strings.Contains(e[0].Status.Message, "no variant for linux/") {
		t.Errorf("events %+v", e)
	}
	if got := w.service("web").Status.Image; got.Digest != digest || !slices.Equal(got.Platforms, []string{"linux/" + arch}) {
		t.Errorf("what was learnt of the image: %+v", got)
	}
	contains(t, "description", w.ctl("describe", "task/"+task.Metadata.Name), task.Status.Pending[0].Message)
}
