package containerd

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/containerd/tasklog"
)

// TestPreviousAttempt: the marks tell the lines of two attempts apart, also after one that was begun twice.
func TestPreviousAttempt(t *testing.T) {
	h := &Host{log: logr.Discard(), paths: paths{logs: t.TempDir()}}
	dir := h.paths.taskLogs("web-1")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	read := func() (lines []string, err error) {
		err = h.Read(t.Context(), "web-1", host.LogOptions{Tail: -1, Previous: true}, func(l host.LogLine) error {
			lines = append(lines, l.Text)
			return nil
		})
		return lines, err
	}
	write := func(text string) {
		l := tasklog.New(dir, 0, 0)
		l.Copy("stdout", strings.NewReader(text+"\n"))
		l.Close()
	}
	h.markAttempt("web-1", 1)
	write("one")
	if _, err := read(); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("with one attempt: %v", err)
	}
	h.markAttempt("web-1", 2)
	write("two")
	h.markAttempt("web-1", 3)
	h.markAttempt("web-1", 3)
	write("three")
	if lines, err := read(); strings.Join(lines, " ") != "two" || err != nil {
		t.Errorf("%q %v", lines, err)
	}
	if data, _ := os.ReadFile(h.marksFile("web-1")); strings.Count(string(data), "\n") != 2 {
		t.Errorf("marks are not bounded: %s", data)
	}
}
