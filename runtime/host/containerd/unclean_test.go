package containerd

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

func TestRunMark(t *testing.T) {
	dir := t.TempDir()
	begin := func() (*Host, *runMark) {
		h := &Host{cfg: Config{DataDir: dir}, log: logr.Discard()}
		old := h.beginRun()
		h.verified.Store(old == nil)
		return h, old
	}
	end := func(h *Host) {
		t.Helper()
		if err := h.endRun(); err != nil {
			t.Fatal(err)
		}
	}
	first, old := begin()
	if old != nil {
		t.Fatalf("a new node: %+v", old)
	}
	end(first)
	second, old := begin()
	if old != nil {
		t.Fatalf("after a stop: %+v", old)
	}
	_ = second // and is killed
	third, old := begin()
	if old == nil || old.Boot != bootID() || time.Since(old.Since) > time.Minute {
		t.Fatalf("after a crash: %+v", old)
	}
	end(third) // before it has looked through everything
	fourth, again := begin()
	if again == nil || !again.Since.Equal(old.Since) {
		t.Fatalf("what was not looked through is forgotten: %+v", again)
	}
	good := time.Now()
	fourth.writeMark(good)
	fourth.verified.Store(true)
	if fifth, old := begin(); old == nil || !old.Since.Equal(good) { // killed after it has
		t.Errorf("%+v", old)
	} else {
		fifth.verified.Store(true)
		end(fifth)
	}
	if left, _ := filepath.Glob(dir + "/*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	for _, text := range []string{"", "{", "x"} {
		if err := os.WriteFile(filepath.Join(dir, runMarkName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, old := begin(); old == nil || !old.Since.IsZero() {
			t.Errorf("%q: %+v", text, old)
		}
	}
}
