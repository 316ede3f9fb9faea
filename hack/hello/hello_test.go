package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestPage(t *testing.T) {
	t.Setenv("WARREN_SERVICE", "web")
	t.Setenv("WARREN_TASK", "web-1-1")
	t.Setenv("WARREN_NODE", "n1")
	server := httptest.NewServer(newPage().handler())
	defer server.Close()

	for _, c := range []struct {
		path   string
		status int
		want   string
	}{
		{"/", 200, "Hello from web, task web-1-1 on node n1.\nThis is answer 1 "},
		{"/?format=json", 200, `"task":"web-1-1"`},
		{"/env", 200, "WARREN_NODE=n1\n"},
		{"/healthz", 200, "ok\n"},
		{"/slow?d=1ms", 200, "answered after 1ms"},
		{"/slow", 400, "such as /slow?d=2s"},
		{"/other", 404, "not found"},
	} {
		status, body := get(t, server.URL+c.path)
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %q, want %d with %q", c.path, status, body, c.status, c.want)
		}
	}
	_, body := get(t, server.URL+"/?format=json")
	var a about
	if err := json.Unmarshal([]byte(body), &a); err != nil || a.Count != 3 || a.Service != "web" {
		t.Errorf("third answer: %+v, %v", a, err)
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]size{"17": 17, "2Ki": 2048, "64Mi": 64 << 20, "1Gi": 1 << 30} {
		var s size
		if err := s.Set(text); err != nil || s != want {
			t.Errorf("%s: %d, %v, want %d", text, s, err, want)
		}
	}
	var s size
	if s.Set("64Mo") == nil {
		t.Error("64Mo was taken for a size")
	}
}

func TestLineWidth(t *testing.T) {
	for _, width := range []int{0, 3, 9, 10, 100} {
		var b bytes.Buffer
		lines{width: width}.line(&b, 12)
		if got := b.Len(); got != max(width, len("line 12\n")) && width >= 10 || !strings.HasPrefix(b.String(), "line 12") {
			t.Errorf("width %d: %d bytes: %q", width, got, b.String())
		}
	}
}
