package warrenctl

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/server"
)

// someReports are those of a node whose disk is gone.
func someReports(_ context.Context, emit func(server.Report) error) error {
	return errors.Join(
		emit(server.Report{Name: "log.txt", Data: []byte("level=INFO msg=\"node is up\" mirror=https://me:pass@mirror.example.org\n")}),
		emit(server.Report{Name: "disk.txt", Err: "disk is\n gone"}),
		emit(server.Report{Name: "../../escape.txt", Data: []byte("x")}))
}

// What tasks wrote is in a bundle only where their logs are wanted.
func TestReasonsWithoutLastWords(t *testing.T) {
	lines := []string{"task/web-1-1 waits", "  it wrote: hunter2", "try: warrenctl help"}
	v := &investigation{logs: true}
	if got := v.withoutLastWords(slices.Clone(lines)); len(got) != 3 {
		t.Errorf("with logs: %q", got)
	}
	v.logs = false
	if got := v.withoutLastWords(slices.Clone(lines)); len(got) != 2 || got[1] != lines[2] {
		t.Errorf("without: %q", got)
	}
}

func TestScrub(t *testing.T) {
	for in, want := range map[string]string{
		"root: spec.args [-p, x] -> [-p, y], spec.replicas 1 -> 2":                     "root: spec.args REDACTED",
		"root: spec.args changed, spec.replicas removed":                               "root: spec.args changed, spec.replicas removed",
		"root: metadata.annotations[deploy-token] set to x, metadata.labels[a] set to": "root: metadata.annotations[deploy-token] REDACTED, metadata.labels[a] set to",
		"root: metadata.annotations[deploy-token] a b -> c d":                          "root: metadata.annotations[deploy-token] REDACTED",
		"pull https://me:pass@r.example.org/x: no":                                     "pull https://REDACTED@r.example.org/x: no",
		"connect postgres://u:p:w@db/x?sslmode=no":                                     "connect postgres://REDACTED@db/x?sslmode=no",
		"DB_PASSWORD=x exec app":                                                       "DB_PASSWORD=REDACTED exec app",
		`MY_SECRET="a b" y`:                                                            "MY_SECRET=REDACTED y",
		"Authorization: Bearer abcdefghijkl.mnop":                                      "Authorization: Bearer REDACTED",
		"pull example.org/token-service:1: no":                                         "pull example.org/token-service:1: no",
		"secret: not found":                                                            "secret: not found",
		"size=5 key=web path=/etc/x":                                                   "size=5 key=web path=/etc/x",
		"-----BEGIN PRIVATE KEY-----\nabc\n":                                           "REDACTED",
		"a -----BEGIN EC KEY-----\nabc\n-----END EC KEY----- b":                        "a REDACTED b",
	} {
		if got := scrub(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	list := []string{"--password", "x", "--token=a b", "-v", "password:x", `{"api_key": "x", "n": 1}`, "--access-key", "--verbose"}
	scrubList(list)
	if got, want := strings.Join(list, "|"), `--password|REDACTED|--token=REDACTED|-v|password:REDACTED|{"api_key": REDACTED, "n": 1}|--access-key|REDACTED`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// The original is not touched, and what is no secret stays.
func TestRedact(t *testing.T) {
	s := meta.New[v1.Service]("web")
	s.Spec.Image = "registry.example.org/secret-app:1"
	s.Spec.Env = v1.Env{{Name: "A", Value: "x"}, {Name: "EMPTY"}}
	s.Spec.Command = []string{"/bin/app", "--token=t"}
	s.Metadata.Annotations = map[string]string{"password": "p", "note": "n"}
	r := redact(s, false).(*v1.Service)
	if r.Spec.Env[0] != (v1.EnvVar{Name: "A", Value: redacted}) || r.Spec.Env[1].Value != "" || r.Spec.Image != s.Spec.Image ||
		r.Spec.Command[1] != "--token=REDACTED" || r.Metadata.Annotations["password"] != redacted || r.Metadata.Annotations["note"] != "n" {
		t.Errorf("%+v %v", r.Spec, r.Metadata.Annotations)
	}
	if s.Spec.Env[0].Value != "x" || s.Spec.Command[1] != "--token=t" || s.Metadata.Annotations["password"] != "p" {
		t.Errorf("the original was changed: %+v", s.Spec)
	}
	if kept := redact(s, true).(*v1.Service); kept.Spec.Env[0].Value != "x" || kept.Spec.Command[1] != "--token=REDACTED" {
		t.Errorf("%+v", kept.Spec)
	}
}

// An archive is as large as it may be, appears when it is complete, and leaves nothing behind otherwise.
func TestBundleIsBounded(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.tar.gz")
	b, err := newBundle(path, "top", noon)
	if err != nil {
		t.Fatal(err)
	}
	big := make([]byte, maxBundlePart+1)
	for range maxBundle/maxBundlePart + 1 {
		b.add("big", big)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("it is there before it is complete")
	}
	if err := b.finish(nil); err != nil {
		t.Fatal(err)
	}
	b.abandon()
	total, names := contents(t, path)
	if len(names["top/errors.txt"]) == 0 || !strings.Contains(names["top/errors.txt"], "big: cut off after 16777216 bytes\n") || total > maxBundle+1<<20 {
		t.Errorf("%d bytes; %s", total, names["top/errors.txt"])
	}
	if b, err = newBundle(filepath.Join(dir, "y"), "top", noon); err != nil {
		t.Fatal(err)
	}
	b.abandon()
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

// contents are the texts in an archive by their names, but for long ones, and how much all is.
func contents(t *testing.T, path string) (total int64, texts map[string]string) {
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
	texts = map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return total, texts
		}
		if err != nil {
			t.Fatal(err)
		}
		total += h.Size
		if h.Mode != 0o600 || strings.Contains(h.Name, "..") {
			t.Errorf("%s has mode %o", h.Name, h.Mode)
		}
		var b bytes.Buffer
		if h.Size < 1<<20 {
			_, _ = b.ReadFrom(r)
		}
		texts[h.Name] = b.String()
	}
}

// Without a name it lies where one is, called after node and time; what a node cannot tell costs only its parts.
func TestBundleOfANodeThatTellsLittle(t *testing.T) {
	n := newLive(t, nil)
	t.Chdir(t.TempDir())
	o := say(t.Context(), "unix://"+filepath.Join(n.dir, server.SocketName), "debug", "bundle")
	if o.code != codeDone || !strings.HasPrefix(o.out, "warren-debug-") || !strings.HasSuffix(o.out, "-20261101T120000Z.tar.gz\n") {
		t.Fatalf("%+v", o)
	}
	_, texts := contents(t, strings.TrimSpace(o.out))
	for name, text := range texts {
		if strings.HasSuffix(name, "/errors.txt") && strings.Contains(text, "node: ") && strings.Contains(text, "graph.txt: ") {
			return
		}
	}
	t.Errorf("%v", texts)
}
