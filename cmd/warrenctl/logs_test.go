package warrenctl

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/store"
)

func (n *live) tasks(names ...string) {
	n.t.Helper()
	for _, name := range names {
		x := meta.New[v1.Task](name)
		x.Spec.Service, x.Status.StartedAt = "web", noon
		if _, err := n.mem.Commit(n.t.Context(), store.Op{Verb: store.Put, Key: x.Key(), Object: x, Guard: store.Any}); err != nil {
			n.t.Fatal(err)
		}
	}
}

// stuckLogs has one task that says a line and then nothing for ever.
type stuckLogs struct{}

func (stuckLogs) Read(ctx context.Context, task string, o host.LogOptions, emit func(host.LogLine) error) error {
	for i := range 3 {
		if err := emit(host.LogLine{Time: noon.Add(time.Duration(i) * time.Second), Text: fmt.Sprintf("line %d", i)}); err != nil {
			return err
		}
		if task == "web-2" {
			<-ctx.Done()
			return ctx.Err()
		}
	}
	return nil
}

// TestSilentTask: one that does not answer is one line, and the rest is printed.
func TestSilentTask(t *testing.T) {
	was := silence
	t.Cleanup(func() { silence = was })
	silence = 300 * time.Millisecond
	n := newLive(t, stuckLogs{})
	n.tasks("web-1", "web-2")
	n.run(false, "logs", "web-1", "web-2")
	if code := n.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got, want := n.out.String(), "web-1 | line 0\nweb-2 | line 0\nweb-1 | line 1\nweb-1 | line 2\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	if got, want := n.err.String(), "task \"web-2\": its log did not answer for 300ms; what follows is left out\n"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
}

// brokenLogs breaks off between lines of the same time, and has a notice in it.
type brokenLogs struct{ calls *atomic.Int32 }

func (b brokenLogs) Read(ctx context.Context, _ string, o host.LogOptions, emit func(host.LogLine) error) error {
	call := b.calls.Add(1)
	for i := range 10 {
		line := host.LogLine{Time: noon.Add(time.Duration(i/4) * time.Second), Text: fmt.Sprintf("line %d", i)}
		if line.Time.Before(o.Since) {
			continue
		}
		if err := emit(line); err != nil {
			return err
		}
		if call == 1 && i == 5 {
			return fmt.Errorf("cut: %w", store.ErrUnavailable)
		}
	}
	_ = emit(host.LogLine{Time: noon, Stream: host.Notice, Text: "lines may be missing here"})
	<-ctx.Done()
	return ctx.Err()
}

// TestFollowOverBreak: each line once, also of those that share their time with the last one before the break.
func TestFollowOverBreak(t *testing.T) {
	n := newLive(t, brokenLogs{new(atomic.Int32)})
	n.tasks("web-1")
	n.run(false, "logs", "-f", "web-1")
	n.prints(&n.err, "task \"web-1\": lines may be missing here\n")
	n.prints(&n.out, "line 9\n")
	var want strings.Builder
	for i := range 10 {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	if got := n.out.String(); got != want.String() {
		t.Errorf("printed %q", got)
	}
}

func TestColours(t *testing.T) {
	var out bytes.Buffer
	o := newLogOutput(&program{out: &out, err: &out, getenv: os.Getenv}, false)
	o.prefix, o.colours = true, true
	for _, task := range []string{"a", "b", "a"} {
		o.line(task, host.LogLine{Text: "x"})
	}
	o.close()
	if got, want := out.String(), "\x1b[36ma |\x1b[0m x\n\x1b[33mb |\x1b[0m x\n\x1b[36ma |\x1b[0m x\n"; got != want {
		t.Errorf("%q", got)
	}
}
