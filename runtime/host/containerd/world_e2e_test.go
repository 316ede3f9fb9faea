//go:build e2e

package containerd

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
)

func bg() context.Context { return context.Background() }

// world is a node's folders and the node that works on them.
type world struct {
	t         *testing.T
	data, run string
	host      *Host
	changed   chan struct{}
	config    func(*Config) // may change with what it is opened
	remarks   remarks
}

func testConfig(data, run, cluster string, poke func()) Config {
	return Config{DataDir: data, RunDir: run, NodeName: "node-1", Cluster: cluster, Poke: poke, Log: testLog(),
		Network: &fakeNetwork{dir: filepath.Join(run, "netns")}}
}

// newWorld opens a host in fresh folders, with the test image, and leaves nothing behind.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := emptyWorld(t)
	w.open()
	w.importImage()
	return w
}

func emptyWorld(t *testing.T) *world {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "wc")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, data: dir + "/d", run: dir + "/r", changed: make(chan struct{}, 1)}
	t.Cleanup(func() {
		w.clean()
		_ = os.RemoveAll(dir)
	})
	return w
}

func (w *world) open() {
	w.t.Helper()
	c := testConfig(w.data, w.run, "c1", func() {
		select {
		case w.changed <- struct{}{}:
		default:
		}
	})
	c.Remark = w.remarks.add
	if w.config != nil {
		w.config(&c)
	}
	h, err := Open(bg(), c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.host = h
	w.await("ready", func([]host.State) bool { return true })
}

func (w *world) close() {
	w.t.Helper()
	if w.host != nil {
		if err := w.host.Close(); err != nil {
			w.t.Error(err)
		}
		w.host = nil
	}
}

func (w *world) clean() {
	if w.host == nil {
		w.open()
	}
	ctx, cancel := context.WithTimeout(bg(), 30*time.Second)
	defer cancel()
	if err := w.host.Reset(ctx); err != nil {
		w.t.Error(err)
	}
	w.host = nil
	if m := mountsBelow(w.t, filepath.Dir(w.data)); len(m) > 0 {
		w.t.Errorf("mounts are left: %v", m)
		for _, p := range slices.Backward(m) {
			_ = unix.Unmount(p, unix.MNT_DETACH)
		}
	}
	if dirs, _ := cgroupDirs("/warren-" + InstanceOf(w.data)); len(dirs) > 0 {
		w.t.Errorf("cgroups are left: %v", dirs)
	}
}

// await waits until the observed states are as wanted.
func (w *world) await(what string, ok func([]host.State) bool) []host.State {
	w.t.Helper()
	deadline := time.After(40 * time.Second)
	for {
		states, err := w.host.Observe(bg())
		if err == nil && ok(states) {
			return states
		}
		select {
		case <-w.changed:
		case <-time.After(200 * time.Millisecond):
		case <-deadline:
			w.t.Fatalf("waiting for %s: %+v %v", what, states, err)
		}
	}
}

func (w *world) set(tasks ...host.Task) {
	w.t.Helper()
	if err := w.host.Set(bg(), tasks); err != nil {
		w.t.Fatal(err)
	}
}

// awaitPhase waits until the task has come to phase.
func (w *world) awaitPhase(name string, phase host.Phase) host.State {
	w.t.Helper()
	var found host.State
	w.await(name+" "+string(phase), func(states []host.State) bool {
		i := slices.IndexFunc(states, func(s host.State) bool { return s.Name == name && s.Phase == phase })
		if i >= 0 {
			found = states[i]
		}
		return i >= 0
	})
	return found
}

func (w *world) awaitNone() {
	w.t.Helper()
	w.await("nothing", func(states []host.State) bool { return len(states) == 0 })
}

func (w *world) log(name string) []host.LogLine {
	w.t.Helper()
	var lines []host.LogLine
	err := w.host.Read(bg(), name, host.LogOptions{Tail: -1}, func(l host.LogLine) error {
		lines = append(lines, l)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return lines
}

func (w *world) importImage() {
	w.t.Helper()
	if _, err := w.host.Import(bg(), bytes.NewReader(testImage(w.t)), host.ImportOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// task is a wish for the test program with args.
func task(name string, args ...string) host.Task {
	// A short grace period, because process 1 is deaf to SIGTERM until it has set up a handler.
	return host.Task{Name: name, UID: 1, Service: "svc", Attempt: 1, Template: v1.TaskTemplate{
		Image: "prog:1", Args: args, StopGracePeriod: new(meta.Duration(time.Second))}}
}

// testImage is an archive in docker's form with the test program, which is built once.
var testImage = func() func(*testing.T) []byte {
	var once sync.Once
	var data []byte
	return func(t *testing.T) []byte {
		once.Do(func() { data = packImage(t, runtime.GOARCH, "prog:1") })
		if data == nil {
			t.Fatal("the test image could not be made")
		}
		return data
	}
}()

func packImage(t *testing.T, arch, tag string) []byte {
	t.Helper()
	prog, err := os.ReadFile(progFile(t))
	if err != nil {
		t.Fatal(err)
	}
	layer := tarOf(
		file{"prog", prog, 0o755}, file{"etc/passwd", []byte("root:x:0:0::/:/x\nweb:x:101:102::/home:/x\n"), 0o644},
		file{"etc/group", []byte("root:x:0:\nweb:x:102:\nextra:x:103:web\n"), 0o644}, file{"work/here", nil, 0o644})
	sum := sha256.Sum256(layer)
	config, _ := json.Marshal(map[string]any{
		"architecture": arch, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/prog"}, "Cmd": []string{"exit", "0"},
			"Env": []string{"PATH=/bin", "FROM_IMAGE=1"}, "WorkingDir": "/work"},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum[:])}},
	})
	manifest, _ := json.Marshal([]any{map[string]any{
		"Config": "config.json", "RepoTags": []string{tag}, "Layers": []string{"layer.tar"}}})
	return tarOf(file{"layer.tar", layer, 0o644}, file{"config.json", config, 0o644}, file{"manifest.json", manifest, 0o644})
}

// progFile is the test program, built once. Go's cache makes that quick.
func progFile(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "prog")
	build := exec.Command("go", "build", "-o", bin, "./testdata/prog")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", roleEnv+"=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	return bin
}

type file struct {
	name string
	data []byte
	mode int64
}

func tarOf(files ...file) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		_ = w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data))})
		_, _ = w.Write(f.data)
	}
	_ = w.Close()
	return b.Bytes()
}

func mountsBelow(t *testing.T, dir string) []string {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir) {
			out = append(out, f[4])
		}
	}
	return out
}

// fakeNetwork gives each task an empty network namespace.
type fakeNetwork struct {
	dir string
	mu  sync.Mutex
}

func (n *fakeNetwork) Configure(context.Context, host.NetworkConfig) error { return nil }

func (n *fakeNetwork) Attach(_ context.Context, id string, want netip.Addr) (host.Attachment, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if id == "refused" {
		return host.Attachment{}, errors.New("no address is free")
	}
	path := filepath.Join(n.dir, id)
	resolv := filepath.Join(filepath.Dir(n.dir), "resolv.conf")
	if !want.IsValid() {
		sum := sha256.Sum256([]byte(id))
		want = netip.AddrFrom4([4]byte{10, 0, sum[0], sum[1]})
	}
	a := host.Attachment{ID: id, NetNS: path, Address: netip.PrefixFrom(want, 24), ResolvConf: resolv}
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		return a, err
	}
	if err := os.WriteFile(resolv, []byte("nameserver 10.0.1.1\n"), 0o644); err != nil {
		return a, err
	}
	if _, err := os.Stat(path); err == nil {
		return a, nil
	}
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		return a, err
	}
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			failed <- err
			return
		}
		from := fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		failed <- unix.Mount(from, path, "", unix.MS_BIND, "")
	}()
	return a, <-failed
}

func (n *fakeNetwork) Detach(_ context.Context, id string) error {
	path := filepath.Join(n.dir, id)
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && err != syscall.EINVAL && err != syscall.ENOENT {
		return err
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

func (n *fakeNetwork) List(context.Context) ([]string, error) {
	entries, err := os.ReadDir(n.dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.Name())
	}
	return ids, err
}
