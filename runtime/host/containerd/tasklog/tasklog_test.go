package tasklog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func readAll(t *testing.T, dir string, o Options) []string {
	t.Helper()
	var got []string
	err := Read(t.Context(), dir, o, func(l Line) error { got = append(got, l.Text); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return got
}

var all = Options{Tail: -1}

func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	return b.String()
}

func TestLinesComeBackAsWritten(t *testing.T) {
	long := strings.Repeat("0123456789", 5000) // four records
	for name, text := range map[string]string{
		"plain": "a\nb\n", "empty lines": "\n\nx\n", "no newline at the end": "a\nb", "long": long + "\nb\n",
		"exactly one record": strings.Repeat("x", maxRecord) + "\ny\n", "spaces": "  a  b \n\tc\n", "carriage": "a\r\nb\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := New(dir, 0, 0)
			l.Copy("stdout", iotestReader(text))
			l.Close()
			want := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
			if got := readAll(t, dir, all); !slices.Equal(got, want) {
				t.Errorf("got %.80q, want %.80q", got, want)
			}
		})
	}
}

// iotestReader gives its text in small pieces, as a pipe does.
func iotestReader(text string) io.Reader {
	r, w := io.Pipe()
	go func() {
		for i := 0; i < len(text); i += 777 {
			_, _ = io.WriteString(w, text[i:min(i+777, len(text))])
		}
		_ = w.Close()
	}()
	return r
}

func TestRotationLosesNothingThatIsKept(t *testing.T) {
	dir := t.TempDir()
	l := New(dir, 2000, 3)
	l.Copy("stderr", iotestReader(numbered(300)))
	l.Close()
	got := readAll(t, dir, all)
	for i, text := range got {
		if want := fmt.Sprintf("line %d", 300-len(got)+i); text != want {
			t.Fatalf("line %d of %d is %q, want %q", i, len(got), text, want)
		}
	}
	if len(got) < 60 {
		t.Errorf("only %d lines are kept", len(got))
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 3 {
		t.Errorf("%d files", len(entries))
	}
	for _, e := range entries {
		if info, _ := e.Info(); info.Size() > 2000 {
			t.Errorf("%s has %d bytes", e.Name(), info.Size())
		}
	}
}

func TestKilledWriterLeavesNoTornLine(t *testing.T) {
	dir := t.TempDir()
	l := New(dir, 0, 0)
	l.Copy("stdout", strings.NewReader("whole\n"))
	l.Close()
	f, err := os.OpenFile(filepath.Join(dir, current), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString("2026-01-02T15:04:05.000000000Z stdout F tor")
	_ = f.Close()
	next := New(dir, 0, 0)
	next.Copy("stdout", strings.NewReader("after\n"))
	next.Close()
	if got := readAll(t, dir, all); !slices.Equal(got, []string{"whole", "after"}) {
		t.Errorf("%q", got)
	}
}

func TestFullDiskDropsCountsAndTells(t *testing.T) {
	dir := t.TempDir()
	l := New(dir, 0, 0)
	full := false
	l.write = func(f *os.File, b []byte) (int, error) {
		if full { // as the kernel does: a part fits
			n, _ := f.Write(b[:len(b)/2])
			return n, syscall.ENOSPC
		}
		return f.Write(b)
	}
	l.Copy("stdout", strings.NewReader("before\n"))
	full = true
	l.Copy("stdout", strings.NewReader("lost 1\nlost 2\n"))
	l.Copy("stderr", strings.NewReader("lost 3\n"))
	full = false
	l.Copy("stdout", strings.NewReader("after\n"))
	l.Close()
	want := []string{"before", "warren: 3 lines of output were dropped: no space left on device", "after"}
	if got := readAll(t, dir, all); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestNoFolderCanBeMade(t *testing.T) {
	dir := t.TempDir()
	blocked := filepath.Join(dir, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l := New(filepath.Join(blocked, "log"), 0, 0)
	l.Copy("stdout", strings.NewReader("a\n")) // must come back
	if l.lost != 1 {
		t.Errorf("%d lost", l.lost)
	}
	l.Close()
}

func TestTailAndSince(t *testing.T) {
	dir := t.TempDir()
	l := New(dir, 1500, 3)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l.now = func() time.Time { at = at.Add(time.Second); return at }
	for i := range 60 { // over three files
		l.Copy("stdout", strings.NewReader(fmt.Sprintf("line %d\n", i)))
	}
	l.Close()
	for n, want := range map[int]int{0: 0, 1: 1, 5: 5, 40: 40} {
		got := readAll(t, dir, Options{Tail: n})
		if len(got) != want || want > 0 && (got[want-1] != "line 59" || got[0] != fmt.Sprintf("line %d", 60-want)) {
			t.Errorf("tail %d: %q", n, got)
		}
	}
	since := at.Add(-2 * time.Second)
	if got := readAll(t, dir, Options{Tail: -1, Since: since}); len(got) == 0 || got[len(got)-1] != "line 59" || len(got) > 4 {
		t.Errorf("since: %q", got)
	}
	if got := readAll(t, dir, Options{Tail: 1, Since: at.Add(time.Hour)}); len(got) != 0 {
		t.Errorf("since later: %q", got)
	}
}

func TestFollowThroughRotations(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "task")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	const n = 5000
	l := New(dir, 100_000, 50) // enough files that a slow reader finds all
	lines := make(chan string, n)
	ended := make(chan error, 1)
	go func() {
		ended <- Read(t.Context(), dir, Options{Follow: true, Tail: -1}, func(l Line) error { lines <- l.Text; return nil })
	}()
	var both sync.WaitGroup
	both.Go(func() { l.Copy("stdout", iotestReader(numbered(n))) })
	for i := range n {
		select {
		case got := <-lines:
			if want := fmt.Sprintf("line %d", i); got != want {
				t.Fatalf("got %q, want %q", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("line %d did not come", i)
		}
	}
	both.Wait()
	l.Close()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("following did not end with the removal")
	}
}

func TestFollowEndsWithContext(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Read(ctx, dir, Options{Follow: true, Tail: 0}, func(Line) error { return nil }) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestNoLog(t *testing.T) {
	for _, follow := range []bool{false, true} {
		err := Read(t.Context(), filepath.Join(t.TempDir(), "none"), Options{Follow: follow, Tail: -1}, nil)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
}

func BenchmarkCopy(b *testing.B) {
	text := strings.Repeat("a line of a hundred bytes, more or less, as a server writes them for each request that it has seen..\n", 1000)
	l := New(b.TempDir(), 0, 0)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		l.Copy("stdout", strings.NewReader(text))
	}
	l.Close()
}
