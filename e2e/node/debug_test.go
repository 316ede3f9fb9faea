//go:build e2e

package node

import (
	"net/http"
	"strings"
	"testing"
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
