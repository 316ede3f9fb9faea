package tasklog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"
)

// TestSlowFollower: one that does not keep up is told so at the place, and holds up neither the writer nor memory.
func TestSlowFollower(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "task")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	const n = 300_000
	l := New(dir, 1<<20, 3)
	first := make(chan struct{})
	written := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []string
	notices, begun := 0, false
	ended := make(chan error, 1)
	go func() {
		ended <- Read(ctx, dir, Options{Follow: true, Tail: -1}, func(x Line) error {
			if !begun { // and then it does nothing until all was written
				begun = true
				close(first)
				<-written
			}
			if x.Stream == Notice {
				notices++
				return nil
			}
			got = append(got, x.Text)
			if x.Text == fmt.Sprintf("line %d", n-1) {
				cancel()
			}
			return nil
		})
	}()
	l.Copy("stdout", iotestReader("line 0\n"))
	<-first
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	l.Copy("stdout", iotestReader(numbered(n)[len("line 0\n"):]))
	runtime.ReadMemStats(&after)
	close(written)
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the last line did not come")
	}
	if notices != 1 || len(got) >= n {
		t.Errorf("%d notices, %d lines", notices, len(got))
	}
	last := -1
	for _, text := range got {
		i := -1
		_, _ = fmt.Sscanf(text, "line %d", &i)
		if i <= last {
			t.Fatalf("line %d after %d", i, last)
		}
		last = i
	}
	if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 32<<20 {
		t.Errorf("memory grew by %d bytes while it slept", grown)
	}
}

func TestUntil(t *testing.T) {
	dir := t.TempDir()
	l := New(dir, 0, 0)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l.now = func() time.Time { return at }
	for i := range 6 {
		l.Copy("stdout", iotestReader(fmt.Sprintf("%d\n", i)))
		at = at.Add(time.Second)
	}
	l.Close()
	from, to := time.Date(2026, 1, 1, 0, 0, 1, 0, time.UTC), time.Date(2026, 1, 1, 0, 0, 4, 0, time.UTC)
	for _, c := range []struct {
		tail int
		want []string
	}{{-1, []string{"1", "2", "3"}}, {2, []string{"2", "3"}}, {9, []string{"1", "2", "3"}}, {0, nil}} {
		if got := readAll(t, dir, Options{Tail: c.tail, Since: from, Until: to}); !slices.Equal(got, c.want) {
			t.Errorf("tail %d: %q", c.tail, got)
		}
	}
}
