package registry

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"warren.io/warren/runtime/host"
)

func newSource(t *testing.T, c Config) *Source {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestParseMirror(t *testing.T) {
	for text, want := range map[string]string{
		"docker.io=https://m.example:5000":      "index.docker.io https://m.example:5000",
		"registry-1.docker.io=https://m":        "index.docker.io https://m",
		"r.example:5000=http://10.0.0.1/a/path": "r.example:5000 http://10.0.0.1/a/path",
	} {
		m, err := ParseMirror(text)
		if got := m.Registry + " " + m.URL.String(); err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"docker.io":                  "write REGISTRY=URL",
		"=https://m":                 "write REGISTRY=URL",
		"docker.io=":                 "write REGISTRY=URL",
		"a/b=https://m":              "not the name of a registry",
		"https://x=https://m":        "not the name of a registry",
		"docker.io=m.example:5000":   "must begin with https://HOST",
		"docker.io=https://":         "must begin with https://HOST",
		"docker.io=ftp://m":          "must begin with https://HOST",
		"docker.io=https://m?x=1":    "nothing after it",
		"docker.io=https://u:pw@m":   "--registry-credentials",
		"docker.io=https://m\x7f/%z": "not a URL",
	} {
		if _, err := ParseMirror(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "pw") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// helper puts a credential helper into PATH that is made of a shell script.
func helper(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestHelpers(t *testing.T) {
	t.Setenv("SECRET_OF_WARREN", "leaked")
	helper(t, "one", `read -r at; [ "$1" = get ] && printf '{"ServerURL":"%s","Username":"ann","Secret":"at %s %s"}' "$at" "$at" "$SECRET_OF_WARREN"`)
	helper(t, "all", `read -r at; case $at in https://index.docker.io/v1/) echo '{"Username":"<token>","Secret":"tok"}';; *) echo "credentials not found in native keychain"; exit 1;; esac`)
	helper(t, "bad", `echo 'hunter2 {"Secret": '; exit 3`)
	helper(t, "odd", `echo 'hunter2'`)
	file := []byte(`{"credHelpers": {"r.example:5000": "one", "bad.example": "bad", "odd.example": "odd", "none.example": "missing", "evil.example": "../sh"},
		"credsStore": "all", "auths": {"plain.example": {"auth": "dTpw"}}}`)
	for at, want := range map[string]string{
		"r.example:5000": "ann|at r.example:5000 ", "registry-1.docker.io": "|tok", "plain.example": "u|p", "unknown.example": "|",
	} {
		user, secret, err := readLogin(file, at)
		if got := user + "|" + secret; err != nil || got != want {
			t.Errorf("%s: %q %v", at, got, err)
		}
	}
	for at, want := range map[string]string{
		"bad.example": "docker-credential-bad get for bad.example: exit status 3", "odd.example": "the answer is no login",
		"none.example": "the helper docker-credential-missing for none.example is not installed in PATH", "evil.example": "not the name of a credential helper",
	} {
		_, _, err := readLogin(file, at)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", at, err, want)
		}
	}
}

// bodies is a registry whose content is made by a function.
type bodies func(ctx context.Context) io.ReadCloser

func (b bodies) Fetch(ctx context.Context, _ ocispec.Descriptor) (io.ReadCloser, error) {
	return b(ctx), nil
}

func layer(n int) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromString(fmt.Sprint(n)), Size: int64(n)}
}

type zeros struct{ n int }

func (z *zeros) Read(p []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	n := min(len(p), z.n)
	z.n -= n
	return n, nil
}

func (z *zeros) Close() error { return nil }

func TestRateIsForAllTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, Config{Rate: 1 << 20, Parallel: 2})
		const each = 5 << 20
		since, done := time.Now(), make(chan error)
		for range 2 {
			go func() {
				from := fetcher{bodies(func(context.Context) io.ReadCloser { return &zeros{each} }), s}
				body, err := from.Fetch(t.Context(), layer(each))
				if err == nil {
					_, err = io.Copy(io.Discard, body)
					_ = body.Close()
				}
				done <- err
			}()
		}
		if err := errors.Join(<-done, <-done); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(since); took < 9500*time.Millisecond || took > 10500*time.Millisecond {
			t.Errorf("10 MiB at 1 MiB a second took %s", took)
		}
	})
}

func TestOnlySoManyLayersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, Config{Parallel: 2})
		from := fetcher{bodies(func(context.Context) io.ReadCloser { return &zeros{1} }), s}
		var open []io.Closer
		for range 2 {
			b, err := from.Fetch(t.Context(), layer(1))
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, b)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := from.Fetch(short, layer(1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a third layer: %v", err)
		}
		if b, err := from.Fetch(t.Context(), ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest}); err != nil {
			t.Errorf("what is no layer waits: %v", err)
		} else {
			_ = b.Close()
		}
		_ = open[0].Close()
		b, err := from.Fetch(t.Context(), layer(1))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = b.Close(), open[1].Close()
	})
}

// stuck sends nothing until its request is ended.
type stuck struct{ ctx context.Context }

func (s stuck) Read([]byte) (int, error) { <-s.ctx.Done(); return 0, s.ctx.Err() }
func (stuck) Close() error               { return nil }

func TestARegistryThatStopsSendingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, Config{})
		body, err := fetcher{bodies(func(ctx context.Context) io.ReadCloser { return stuck{ctx} }), s}.Fetch(t.Context(), layer(1))
		if err != nil {
			t.Fatal(err)
		}
		since := time.Now()
		if _, err := body.Read(make([]byte, 1)); !errors.Is(err, errStalled) || time.Since(since) != stallAfter {
			t.Errorf("%v after %s", err, time.Since(since))
		}
		_ = body.Close()
	})
}

func TestBoard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, Config{})
		changed := s.Changed()
		p, q := s.Begin("b"), s.Begin("a")
		<-changed
		p.For("b:1")
		p.For("b:1")
		if all := s.Pulls(); len(all) != 2 || all[0].Name != "a" || all[1].Phase != host.PullResolving || len(all[1].Refs) != 1 {
			t.Fatalf("%+v", all)
		}
		p.Need(layer(1000), func() int64 { return 400 })
		q.Need(layer(1000), func() int64 { return 0 }) // the same content, in the midst of being fetched
		q.Need(layer(3000), func() int64 { return 0 })
		time.Sleep(2 * time.Second)
		s.board.blob(layer(1000)).add(100)
		s.board.blob(layer(1000)).add(-1)
		time.Sleep(time.Second)
		if p.Came() != 100 || q.Came() != 100 {
			t.Errorf("%d and %d bytes came", p.Came(), q.Came())
		}
		all := s.Pulls()
		if a, b := all[0], all[1]; a.Done != 500 || a.Total != 4000 || b.Done != 500 || b.Total != 1000 || b.Phase != host.PullFetching || b.Rate != 100 {
			t.Errorf("%+v", all)
		}
		p.Have(layer(1000))
		if b := s.Pulls()[1]; b.Phase != host.PullUnpacking || b.Rate != 0 {
			t.Errorf("%+v", b)
		}
		p.End()
		q.End()
		if len(s.Pulls()) != 0 || len(s.board.blobs) != 0 {
			t.Errorf("%+v %+v", s.Pulls(), s.board.blobs)
		}
		s.board.blob(layer(1000)).add(1) // nobody wants to know
	})
}

func TestMeterForgets(t *testing.T) {
	var m meter
	at := time.Unix(1000, 0)
	m.add(at, 1000)
	m.add(at.Add(time.Second), 1000)
	for after, want := range map[time.Duration]int64{2 * time.Second: 1000, 4 * time.Second: 500, 5*time.Second + 1: 249, 10 * time.Second: 0} {
		if got := m.rate(at.Add(after)); got != want {
			t.Errorf("after %s: %d, want %d", after, got, want)
		}
	}
}

func TestLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Locks
		if err := l.Lock(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if err := l.Lock(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Lock(short, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		next := make(chan error)
		go func() { next <- l.Lock(t.Context(), "a") }()
		synctest.Wait()
		l.Unlock("a")
		if err := <-next; err != nil {
			t.Error(err)
		}
		l.Unlock("a")
		l.Unlock("b")
		if len(l.held) != 0 {
			t.Errorf("%v", l.held)
		}
	})
}

// The authority of a registry is believed when its file is given, and mirrors are asked first.
func TestAuthoritiesAndMirrors(t *testing.T) {
	const manifest = `{"schemaVersion":2}`
	at := digest.FromString(manifest)
	var asked []string
	serve := func(name string, code int) *httptest.Server {
		s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, name+r.URL.Path)
			w.Header().Set("Docker-Content-Digest", at.String())
			w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
			w.WriteHeader(code)
			_, _ = io.WriteString(w, manifest)
		}))
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		t.Cleanup(s.Close)
		return s
	}
	first, second := serve("first", http.StatusNotFound), serve("second", http.StatusOK)
	var mirrors []Mirror
	for _, s := range []*httptest.Server{first, second} {
		u, _ := url.Parse(s.URL + "/deep")
		mirrors = append(mirrors, Mirror{"r.example", *u})
	}
	if _, _, err := newSource(t, Config{Mirrors: mirrors}).Resolver().Resolve(t.Context(), "r.example/app:1"); err == nil {
		t.Error("an unknown authority was believed")
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: first.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var r remotes.Resolver = newSource(t, Config{Mirrors: mirrors, CA: ca}).Resolver()
	if _, d, err := r.Resolve(t.Context(), "r.example/app:1"); err != nil || d.Digest != at {
		t.Errorf("%v %v", d, err)
	}
	if got := strings.Join(asked, " "); got != "first/deep/v2/app/manifests/1 second/deep/v2/app/manifests/1" {
		t.Error(got)
	}
	if err := os.WriteFile(ca, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{ca, ca + "-missing"} {
		if _, err := New(Config{CA: file}); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%v", err)
		}
	}
}

// resetting is content whose connection breaks after each so many bytes.
type resetting struct {
	size, each, at, next int64
	asked                []int64
}

var errReset = errors.New("connection reset by peer")

func (r *resetting) Read(p []byte) (int, error) {
	if len(r.asked) == 0 || r.asked[len(r.asked)-1] < 0 {
		r.asked = append(r.asked[:max(0, len(r.asked)-1)], r.at)
		r.next = min(r.at+r.each, r.size)
	}
	if r.at == r.size {
		return 0, io.EOF
	}
	if r.at == r.next {
		return 0, errReset
	}
	n := min(int64(len(p)), r.next-r.at)
	r.at += n
	return int(n), nil
}

func (r *resetting) Seek(at int64, _ int) (int64, error) {
	if at != r.at && r.asked[len(r.asked)-1] >= 0 {
		r.asked = append(r.asked, -1) // the next Read asks anew
	}
	r.at = at
	return at, nil
}

func (r *resetting) Close() error { return nil }

func TestAConnectionThatIsResetIsOpenedAgain(t *testing.T) {
	s := newSource(t, Config{})
	fetch := func(r *resetting) (int64, error) {
		body, err := fetcher{bodies(func(context.Context) io.ReadCloser { return r }), s}.Fetch(t.Context(), layer(int(r.size)))
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		return io.Copy(io.Discard, body)
	}
	r := &resetting{size: 100, each: 40}
	if n, err := fetch(r); n != 100 || err != nil || fmt.Sprint(r.asked) != "[0 40 80]" {
		t.Errorf("%d bytes, %v, asked for %v", n, err, r.asked)
	}
	// Where nothing comes any more it ends.
	if n, err := fetch(&resetting{size: 100}); n != 0 || !errors.Is(err, errReset) {
		t.Errorf("%d bytes, %v", n, err)
	}
}
