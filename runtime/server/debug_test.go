package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"warren.io/warren/runtime/server/api"
	"warren.io/warren/runtime/store/grpcstore"
)

func TestReports(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789"), 200_000) // of several messages
	f := serve(t, func(c *Config) {
		c.Debug = func(_ context.Context, emit func(Report) error) error {
			return errors.Join(emit(Report{Name: "long.txt", Data: long}), emit(Report{Name: "none.txt", Err: "disk is gone"}))
		}
	})
	got, why := map[string][]byte{}, map[string]string{}
	err := f.dial(t).Reports(t.Context(), func(r grpcstore.Report) error {
		got[r.Name] = append(got[r.Name], r.Data...)
		why[r.Name] += r.Err
		return nil
	})
	if err != nil || !bytes.Equal(got["long.txt"], long) || why["long.txt"] != "" || why["none.txt"] != "disk is gone" || len(got) != 2 {
		t.Errorf("%d bytes, %v, %v", len(got["long.txt"]), why, err)
	}
	mine := errors.New("enough")
	if err := f.dial(t).Reports(t.Context(), func(grpcstore.Report) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("got %v", err)
	}
	f = serve(t, nil)
	if err := f.dial(t).Reports(t.Context(), nil); !errors.Is(err, api.ErrNotServed) {
		t.Errorf("of a node without it: %v", err)
	}
}

// Profiles are there only where they were asked for, and only on the node's own socket.
func TestPprofOnTheSocketOnly(t *testing.T) {
	on := func(c *Config) {
		c.Pprof = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "profile of "+r.URL.Path) })
	}
	f := serve(t, on)
	if code, body := f.get(t, "/debug/pprof/heap"); code != http.StatusOK || body != "profile of /debug/pprof/heap" {
		t.Errorf("on the socket: %d %s", code, body)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.serveOn(t, l)
	r, err := http.Get("http://" + l.Addr().String() + "/debug/pprof/heap")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body)
	if r.StatusCode != http.StatusNotFound || !strings.Contains(string(body), "on the node's own socket only") {
		t.Errorf("elsewhere: %d %s", r.StatusCode, body)
	}
	if code, body := serve(t, nil).get(t, "/debug/pprof/heap"); code != http.StatusNotFound || !strings.Contains(body, "start warren with --pprof") {
		t.Errorf("off: %d %s", code, body)
	}
}
