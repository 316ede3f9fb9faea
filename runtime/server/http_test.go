package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
)

// browser is an HTTP/1.1 client of the fixture's socket.
func (f *fixture) browser(t testing.TB) *http.Client {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", f.socket)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: soon}
}

func (f *fixture) get(t testing.TB, path string) (int, string) {
	t.Helper()
	r, err := f.browser(t).Get("http://warren" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

func TestHTTPReads(t *testing.T) {
	f := serve(t, func(c *Config) {
		c.Logs = fakeLogs{}
		c.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("warren_up 1\n")) })
	})
	web := aService("web")
	web.Metadata.Labels = map[string]string{"tier": "front"}
	commit(t, f.store, put(web), put(aService("db")), put(aTask("web-1", "")))
	tests := []struct {
		path string
		code int
		want string // in the body
		not  string // not in it
	}{
		{"/v1/services", 200, `"name":"db"`, `"kind":"Task"`},
		{"/v1/svc", 200, `"revision":2,"items":[`, ""},
		{"/v1/nodes", 200, `"items":[]`, ""},
		{"/v1/services?labelSelector=tier%3Dfront", 200, `"name":"web"`, `"name":"db"`},
		{"/v1/services?labelSelector=tier", 200, `"name":"web"`, `"name":"db"`},
		{"/v1/services?labelSelector=!tier", 200, `"name":"db"`, `"name":"web"`},
		{"/v1/services?labelSelector=%28", 400, `label selector`, ""},
		{"/v1/services?labels=a", 400, `unknown parameter`, ""},
		{"/v1/services?watch=perhaps", 400, `neither true nor false`, ""},
		{"/v1/services?watch=1&after=x", 400, `is no number`, ""},
		{"/v1/services/web", 200, `"image":"hello:1"`, ""},
		{"/v1/services/none", 404, `"error":"Service/none: not found"`, ""},
		{"/v1/servces", 404, `did you mean \"services\"?`, ""},
		{"/v1/logs/web-1?tail=2", 200, "line 19 \xff\nline 20 \xff\n", "line 18"},
		{"/v1/logs/web-1", 200, "line 1 ", ""},
		{"/v1/logs/none", 404, `not found on this host`, ""},
		{"/v1/logs/web-1?since=1970-01-01T00:00:19Z", 200, "line 19 \xff\nline 20 \xff\n", "line 18"},
		{"/v1/logs/web-1?since=today", 400, `is no time like`, ""},
		{"/v1/logs/web-1?tail=all", 400, `is no number`, ""},
		{"/healthz", 200, "ok\n", ""},
		{"/metrics", 200, "warren_up 1", ""},
		{"/", 404, "there are /v1/KIND", ""},
	}
	for _, x := range tests {
		code, body := f.get(t, x.path)
		if code != x.code || !strings.Contains(body, x.want) || x.not != "" && strings.Contains(body, x.not) {
			t.Errorf("%s: %d %s", x.path, code, body)
		}
		if code >= 400 {
			var e struct{ Error string }
			if json.Unmarshal([]byte(body), &e) != nil || e.Error == "" {
				t.Errorf("%s: error is no JSON: %s", x.path, body)
			}
		}
	}
}

func TestHTTPIsReadOnly(t *testing.T) {
	f := serve(t, nil)
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		r, err := http.NewRequest(method, "http://warren/v1/services/web", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := f.browser(t).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != 405 || answer.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %s", method, answer.Status)
		}
	}
}

func TestHTTPNotServed(t *testing.T) {
	f := serve(t, nil)
	for _, path := range []string{"/metrics", "/v1/logs/web-1"} {
		if code, body := f.get(t, path); code != 404 || !strings.Contains(body, "not served by this node") {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

func TestHTTPReady(t *testing.T) {
	ok := true
	f := serve(t, func(c *Config) {
		c.Health = func(context.Context) []Check {
			return []Check{{Name: "store", OK: true}, {Name: "disk", OK: ok, Message: "3 GiB are free"}}
		}
	})
	code, body := f.get(t, "/readyz")
	if want := "{\"name\":\"store\",\"ok\":true}\n{\"name\":\"disk\",\"ok\":true,\"message\":\"3 GiB are free\"}\n"; code != 200 || body != want {
		t.Fatalf("%d %s", code, body)
	}
	ok = false
	if code, body := f.get(t, "/readyz"); code != 503 || !strings.Contains(body, `"ok":false`) {
		t.Fatalf("%d %s", code, body)
	}
	if code, _ := f.get(t, "/healthz"); code != 200 {
		t.Fatalf("a process that is not ready is alive all the same: %d", code)
	}
}

func TestHealthHandlerShowsNothingElse(t *testing.T) {
	f := serve(t, nil)
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 404, "/v1/services": 404, "/v1/logs/x": 404} {
		w := httptest.NewRecorder()
		f.HealthHandler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// failing is a store that answers everything with one error.
type failing struct{ err error }

func (f failing) Get(context.Context, meta.Key) (meta.Object, error) { return nil, f.err }
func (f failing) List(context.Context) ([]meta.Object, store.Revision, error) {
	return nil, 0, f.err
}
func (f failing) Commit(context.Context, ...store.Op) (store.Revision, error) { return 0, f.err }
func (f failing) Watch(context.Context, store.Revision) <-chan store.Batch {
	c := make(chan store.Batch, 1)
	c <- store.Batch{Err: f.err}
	close(c)
	return c
}

func TestHTTPStatusOfStoreErrors(t *testing.T) {
	tests := map[error]int{store.ErrUnavailable: 503, store.ErrForbidden: 403, store.ErrNoSpace: 507, errors.New("odd"): 500}
	for err, want := range tests {
		f := serve(t, func(c *Config) { c.Store = failing{err} })
		if code, body := f.get(t, "/v1/services"); code != want || !strings.Contains(body, err.Error()) {
			t.Errorf("%v: %d %s", err, code, body)
		}
	}
}

// lines reads a stream line by line.
func (f *fixture) lines(t *testing.T, path string) func() string {
	t.Helper()
	r, err := f.browser(t).Get("http://warren" + path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Body.Close() })
	in := bufio.NewReader(r.Body)
	return func() string {
		t.Helper()
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("%s after %q", err, line)
		}
		return strings.TrimSuffix(line, "\n")
	}
}

func TestHTTPWatch(t *testing.T) {
	f := serve(t, nil)
	first := commit(t, f.store, put(aService("web")), put(aTask("web-1", "")))
	all := f.lines(t, "/v1/services?watch=1")
	if l := all(); !strings.HasPrefix(l, `{"revision":2,"changes":[{"kind":"Service","name":"web","object":{`) {
		t.Fatal(l)
	}
	later := f.lines(t, "/v1/services?watch=1&after=2")
	if l := later(); l != `{"revision":2}` {
		t.Fatal(l)
	}
	commit(t, f.store, put(aTask("web-2", "")))
	commit(t, f.store, store.Op{Verb: store.Delete, Key: aService("web").Key(), Guard: first})
	for _, next := range []func() string{all, later} {
		l := next()
		if l == `{"revision":3}` { // that something passed which is not for us may be told or not
			l = next()
		}
		if l != `{"revision":4,"changes":[{"kind":"Service","name":"web","object":null}]}` {
			t.Fatal(l)
		}
	}
}

func TestHTTPWatchTellsItsEnd(t *testing.T) {
	f := serve(t, nil)
	commit(t, f.store, put(aService("web")))
	commit(t, f.store, put(aService("web")))
	f.store.Compact()
	next := f.lines(t, "/v1/services?watch=1&after=1")
	next()
	if l := next(); l != `{"error":"revision is compacted"}` {
		t.Fatal(l)
	}
}

func TestHTTPLogsFollow(t *testing.T) {
	f := serve(t, func(c *Config) { c.Logs = fakeLogs{} })
	next := f.lines(t, "/v1/logs/web-1?follow=1&tail=1")
	if l := next(); l != "line 20 \xff" {
		t.Fatal(l)
	}
	go f.shutdown(t)
	if l := next(); l != "error: warren is stopping: store is unavailable" {
		t.Fatal(l)
	}
}
