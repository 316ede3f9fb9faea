package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"warren.io/warren/runtime/server"
)

func TestLastLines(t *testing.T) {
	l := &lastLines{}
	log, err := newLog(l, "text", "info")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2500 {
		log.Info("something", "n", i)
	}
	text := string(l.text())
	if n := strings.Count(text, "\n"); n != lastLinesCount || strings.Contains(text, "n=1499\n") || !strings.Contains(text, "n=1500\n") || !strings.HasSuffix(text, "n=2499\n") {
		t.Errorf("%d lines, from %.80q", n, text)
	}
	long := strings.Repeat("x", 1<<17)
	for range 2500 {
		fmt.Fprintln(l, long)
	}
	if n := len(l.text()); n > lastLinesBytes || n < lastLinesBytes/2 {
		t.Errorf("%d bytes of long lines", n)
	}
}

// A node that is only just starting tells what it can.
func TestReportsOfAStartingNode(t *testing.T) {
	n := &node{config: config{dataDir: t.TempDir(), runDir: "/nonexistent", lines: &lastLines{}}, metrics: newMetrics()}
	if err := os.WriteFile(filepath.Join(n.dataDir, "big"), make([]byte, 12345), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(n.lines, "a line of the log\n")
	got := map[string]server.Report{}
	if err := n.reports(t.Context(), func(r server.Report) error { got[r.Name] = r; return nil }); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"log.txt": "a line of the log\n", "goroutines.txt": "TestReportsOfAStartingNode", "metrics.txt": "\nwarren_store_commit_bytes_total 0\n",
		"memory.txt": "VmRSS:", "disk.txt": "big: 12345 bytes in 1 files\n", "process.txt": "up ",
	} {
		if r := got[name]; !strings.Contains(string(r.Data), want) || r.Err != "" {
			t.Errorf("%s lacks %q: %q %.300s", name, want, r.Err, r.Data)
		}
	}
	if r := got["tasks.txt"]; !strings.Contains(r.Err, "containers are not up yet") {
		t.Errorf("tasks: %+v", r)
	}
	gone := errors.New("nobody listens")
	if err := n.reports(context.Background(), func(server.Report) error { return gone }); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

func TestProfiles(t *testing.T) {
	if profiles(false) != nil {
		t.Error("profiles are on")
	}
	for path, want := range map[string]string{"/debug/pprof/": "goroutine", "/debug/pprof/goroutine?debug=1": "TestProfiles", "/debug/pprof/cmdline": os.Args[0]} {
		w := httptest.NewRecorder()
		profiles(true).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %.300s", path, w.Code, w.Body)
		}
	}
}

func TestTokenIsNotReported(t *testing.T) {
	for _, args := range [][]string{{"warren", "join", "h:1", "--token", "s3cr3t"}, {"warren", "join", "--token=s3cr3t", "h:1"}, {"warren", "join", "-token", "s3cr3t"}} {
		if got := strings.Join(withoutToken(args), " "); strings.Contains(got, "s3cr3t") || !strings.Contains(got, "token") {
			t.Errorf("%s", got)
		}
	}
}
