//go:build e2e

package node

import (
	"archive/tar"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
)

// Profiles are off unless asked for, and never on the port for metrics.
func TestPprof(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.ready()
	if a := w.api("/debug/pprof/goroutine?debug=1"); a.code != http.StatusNotFound || !strings.Contains(a.body, "start warren with --pprof") {
		t.Errorf("off: %d %s", a.code, a.body)
	}
	w.terminate()
	w.start("--pprof", "--metrics-listen", "127.0.0.1:9100")
	w.ready()
	if a := w.api("/debug/pprof/goroutine?debug=1"); a.code != http.StatusOK || !strings.Contains(a.body, "etcdserver") {
		t.Errorf("on: %d %.300s", a.code, a.body)
	}
	if a := w.api("/debug/pprof/heap"); a.code != http.StatusOK || len(a.body) < 1000 {
		t.Errorf("heap: %d %d bytes", a.code, len(a.body))
	}
	if a, err := get(w.inside, "http://127.0.0.1:9100/debug/pprof/heap"); err != nil || a.code != http.StatusNotFound {
		t.Errorf("on the port for metrics: %d %v", a.code, err)
	}
}

// A bug report has all that helps, and nothing that was secret.
func TestDebugBundle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	credentials := filepath.Join(t.TempDir(), "credentials.json")
	login := base64.StdEncoding.EncodeToString([]byte("robot:marker-registry"))
	write(t, credentials, `{"auths": {"127.0.0.1:5000": {"auth": "`+login+`"}, "other": {"username": "u", "password": "marker-plain"}}}`)
	w.start("--registry-credentials", credentials, "--listen", "127.0.0.1:7070")
	w.ready()
	w.ctl("image", "import", helloTar)
	w.apply(service("web", image+"env: {DATABASE_URL: 'postgres://db:marker-env@db', API_KEY: marker-key}\nargs: ['--', --token, marker-1]") +
		service("broken", fromShelf("none:1")+"env: [SECRET=marker-list]"))
	w.one("web", "runs", ready)
	// Changes are told in events, with their values; one of a reason is kept.
	w.apply(service("web", image+"env: {DATABASE_URL: 'postgres://db:marker-env2@db', API_KEY: marker-key2}\nargs: ['--', --token, marker-2]"), "--wait")
	w.one("broken", "says why", func(t *v1.Task) bool { return t.Status.Reason == "ImagePull" })
	path := filepath.Join(t.TempDir(), "bundle.tar.gz")
	if out := w.ctl("debug", "bundle", "-o", path, "--logs"); out != path+"\n" {
		t.Errorf("it prints %q", out)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 || info.Size() > 4<<20 {
		t.Fatalf("%+v %v", info, err)
	}
	texts := unpack(t, path)
	for name, word := range map[string]string{
		"versions.txt": "on node n1", "ready.txt": "containers", "graph.txt": "scheduler", "images.txt": "warren.io/hello:1", "README.txt": "node/log.txt",
		"resources/services.yaml": "DATABASE_URL", "resources/tasks.yaml": "web-1-2", "resources/nodes.yaml": "kernel", "resources/events.yaml": "node is ready",
		"overview.txt": "broken-1-1", "why.txt": "task/broken-1-1", "node/log.txt": "node is up", "node/goroutines.txt": "etcdserver", "node/metrics.txt": "warren_task_cpu_seconds_total{",
		"node/memory.txt": "VmRSS", "node/disk.txt": "etcd: ", "node/process.txt": "containerd ", "node/tasks.txt": "web-1-2 uid=", "logs/web-1-2.log": "hello: listening on",
	} {
		if !strings.Contains(texts[name], word) {
			t.Errorf("%s lacks %q: %.500s", name, word, texts[name])
		}
	}
	contains(t, "events", texts["resources/events.yaml"], "spec.args REDACTED")
	if missing, ok := texts["errors.txt"]; ok && missing != "" {
		t.Errorf("missing: %s", missing)
	}
	markers := append(keyLines(t, filepath.Join(w.host.DataDir, "keys")), "marker-", login)
	for name, text := range texts {
		for _, m := range markers {
			if i := strings.Index(text, m); i >= 0 && !strings.HasPrefix(name, "logs/") { // a task may write what it wants
				t.Errorf("%s has a secret in it: %q", name, text[max(0, i-60):min(len(text), i+60)])
			}
		}
	}
}

// unpack reads the files of an archive, by their names below its folder.
func unpack(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(h.Name, "/")
		texts[name] = string(data)
	}
}

// keyLines are the lines of all private keys of a folder.
func keyLines(t *testing.T, dir string) (lines []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.key"))
	if err != nil || len(files) == 0 {
		t.Fatal("no keys: ", err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); len(line) > 20 && !strings.HasPrefix(line, "-----") {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// A node that cannot start its store has no resources to show, but says why in its log, which is what somebody looks for then.
func TestDebugBundleOfASickNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.smallDisk("10M")
	w.start()
	w.sick("store is full")
	path := filepath.Join(t.TempDir(), "bundle.tar.gz")
	w.ctl("debug", "bundle", "-o", path, "--logs")
	texts := unpack(t, path)
	contains(t, "errors.txt", texts["errors.txt"], "resources: ", "images.txt: ", "node/tasks.txt: ", "containers are not up yet")
	contains(t, "log.txt", texts["node/log.txt"], "store cannot start", "free")
	contains(t, "ready.txt", texts["ready.txt"], "store is full")
	contains(t, "metrics.txt", texts["node/metrics.txt"], "process_resident_memory_bytes")
	contains(t, "disk.txt", texts["node/disk.txt"], "free for warren")
	if texts["versions.txt"] == "" || texts["node/goroutines.txt"] == "" || texts["graph.txt"] == "" {
		t.Errorf("something is missing in %v", meta.SortedKeys(texts))
	}
}
