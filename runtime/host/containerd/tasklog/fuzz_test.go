package tasklog

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// FuzzRead: whatever is in the files, reading ends and gives what was whole.
func FuzzRead(f *testing.F) {
	f.Add([]byte("2026-01-02T15:04:05.000000000Z stdout F text\n2026-01-02T15:04:05Z stderr P a\n"))
	f.Add([]byte("\n\n  \nx y z\n2026-01-02T15:04:05Z stdout F"))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, current), data, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{-1, 0, 2} {
			if err := Read(t.Context(), dir, Options{Tail: n}, func(Line) error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzCopy: every line comes back as it was written.
func FuzzCopy(f *testing.F) {
	f.Add([]byte("a\nb\n\nc"), 100)
	f.Add(bytes.Repeat([]byte("x"), 40000), 1)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		if size < 1 || size > 1<<20 || len(data) > 1<<16 {
			t.Skip()
		}
		dir := t.TempDir()
		l := New(dir, int64(size)+50_000, 100)
		l.Copy("stdout", bytes.NewReader(data))
		l.Close()
		var got []string
		if len(data) > 0 {
			if err := Read(t.Context(), dir, Options{Tail: -1}, func(l Line) error { got = append(got, l.Text); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		var want []string
		if len(data) > 0 {
			want = strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
