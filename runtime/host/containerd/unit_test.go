package containerd

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/klauspost/compress/zstd"

	"warren.io/warren/runtime/host"
)

func TestRecordSurvivesLabels(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for _, r := range []*record{
		{cluster: "c", uid: 3, attempt: 2, failures: 1, service: "web", digest: "sha256:x", platforms: []string{"linux/amd64", "linux/arm64"},
			address: netip.MustParseAddr("10.0.1.5"), signal: "SIGINT", grace: time.Minute},
		{cluster: "c", uid: 1, attempt: 1, signal: "SIGTERM", grace: 0, result: host.Exited, reason: host.ReasonOOMKilled, message: "m",
			exitCode: 137, started: now, exitedAt: now.Add(time.Second), oomKilled: true},
	} {
		got, err := readRecord(r.labels(map[string]string{"user": "label", "warren.io/uid": "99"}))
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("got %+v %v\nwant %+v", got, err, r)
		}
	}
	if l := (&record{}).labels(map[string]string{"user": "label", "big": strings.Repeat("x", 5000)}); l["user"] != "label" || l["big"] != "" {
		t.Errorf("%v", l)
	}
	for _, l := range []map[string]string{{}, {labelUID: "x"}, {labelUID: "1", labelGrace: "soon"}} {
		if _, err := readRecord(l); err == nil {
			t.Errorf("%v was accepted", l)
		}
	}
}

func TestImageNames(t *testing.T) {
	const digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	for in, want := range map[string]string{
		"busybox": "docker.io/library/busybox:latest", "busybox:1": "docker.io/library/busybox:1", "me/app": "docker.io/me/app:latest",
		"localhost:5000/a": "localhost:5000/a:latest", "r.example.org/a/b:2": "r.example.org/a/b:2",
		"busybox@" + digest: "docker.io/library/busybox@" + digest, "busybox:1@" + digest: "docker.io/library/busybox@" + digest,
	} {
		if got, err := imageName(in, ""); err != nil || got != want {
			t.Errorf("%s: %s %v, want %s", in, got, err, want)
		}
	}
	if got, err := imageName("busybox:1", digest); err != nil || got != "docker.io/library/busybox@"+digest {
		t.Errorf("%s %v", got, err)
	}
	for _, bad := range []string{"", "UPPER", "a b", "http://x/y", "x:"} {
		if _, err := imageName(bad, ""); !errors.Is(err, errInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if pinnedDigest("busybox:1@"+digest, "") != digest || pinnedDigest("busybox", "") != "" || pinnedDigest("busybox", "d") != "d" {
		t.Error("pinned digest")
	}
}

func pack(t *testing.T, content map[string]string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	manifest := map[string]asset{}
	for name, text := range content {
		var b bytes.Buffer
		w, _ := zstd.NewWriter(&b)
		_, _ = w.Write([]byte(text))
		_ = w.Close()
		sum := sha256.Sum256([]byte(text))
		manifest[name] = asset{hex.EncodeToString(sum[:]), int64(len(text))}
		files["assets/"+name+".zst"] = &fstest.MapFile{Data: b.Bytes()}
	}
	data, _ := json.Marshal(manifest)
	files["assets/manifest.json"] = &fstest.MapFile{Data: data}
	return files
}

func TestUnpack(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "bin")
	one := pack(t, map[string]string{"shim": "shim one", "runc": "runc one"})
	p, err := unpack(one, bin)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(p.shim); string(data) != "shim one" || err != nil {
		t.Errorf("%s %v", data, err)
	}
	if info, err := os.Stat(p.runc); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v %v", info, err)
	}
	before, _ := os.Stat(p.shim)
	if q, err := unpack(one, bin); err != nil || q != p {
		t.Errorf("again: %+v %v", q, err)
	}
	if after, _ := os.Stat(p.shim); !os.SameFile(before, after) {
		t.Error("unpacked twice")
	}
	if err := os.WriteFile(p.runc, []byte("cut"), 0o755); err != nil {
		t.Fatal(err)
	}
	if q, err := unpack(one, bin); err != nil || q != p {
		t.Errorf("damaged: %+v %v", q, err)
	}
	if data, _ := os.ReadFile(p.runc); string(data) != "runc one" {
		t.Errorf("not repaired: %q", data)
	}
	two, err := unpack(pack(t, map[string]string{"shim": "shim two", "runc": "runc one"}), bin)
	if err != nil || two.dir == p.dir {
		t.Errorf("%+v %v", two, err)
	}
	if _, err := os.Stat(p.shim); err != nil {
		t.Error("the other version is gone")
	}
	wrong := pack(t, map[string]string{"shim": "a", "runc": "b"})
	wrong["assets/shim.zst"] = one["assets/shim.zst"]
	if _, err := unpack(wrong, bin); err == nil {
		t.Error("a wrong checksum was accepted")
	}
	if _, err := unpack(fstest.MapFS{}, bin); !errors.Is(err, errNoAssets) {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(bin); len(entries) != 2 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestSocketsFitWhereRunIsLong(t *testing.T) {
	short, err := newPaths(Config{DataDir: "/d", RunDir: "/run/warren", Instance: "0a1b2c3d"})
	if err != nil || short.shimSockets != "/run/warren/s" || short.shortRun != "" {
		t.Errorf("%+v %v", short, err)
	}
	long, err := newPaths(Config{DataDir: "/d", RunDir: "/" + strings.Repeat("long/", 20), Instance: "0a1b2c3d"})
	if err != nil || len(long.shimSockets) > maxSocketDir || long.shortRun == "" || len(long.socket) > 100 {
		t.Errorf("%+v %v", long, err)
	}
}

func TestBackoffGrowsAndIsBounded(t *testing.T) {
	for tries, most := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 9: 2 * time.Minute, 99: 2 * time.Minute} {
		for range 50 {
			if d := backoff(tries, time.Second, 2*time.Minute); d > most || d < most*4/5-time.Millisecond {
				t.Errorf("%d: %v", tries, d)
			}
		}
	}
}
