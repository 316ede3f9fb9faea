package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
)

func entry(i int) Entry {
	return Entry{Time: time.Unix(int64(i), 0).UTC(), Author: "user root", Revision: int64(i), Verb: "changed", Key: fmt.Sprintf("Service/s%d", i%2), Fields: []string{"spec.replicas"}}
}

func read(t *testing.T, l *Log, q Query) (revisions []int64) {
	t.Helper()
	if err := l.Read(t.Context(), q, func(e Entry) error { revisions = append(revisions, e.Revision); return nil }); err != nil {
		t.Fatal(err)
	}
	return revisions
}

// What was written is there after a restart, also behind a line that a power cut tore.
func TestWriteAndRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := Open(dir, logr.Discard(), func() {})
	if _, err := os.Stat(dir); err == nil {
		t.Error("something was written before there was anything to write")
	}
	for i := range 4 {
		l.Append(entry(i + 1))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, FileName)
	data, _ := os.ReadFile(path)
	if want := `{"time":"1970-01-01T00:00:01Z","author":"user root","revision":1,"verb":"changed","key":"Service/s1","fields":["spec.replicas"]}` + "\n"; !strings.HasPrefix(string(data), want) {
		t.Errorf("the file is %s", data)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %s", info.Mode())
	}
	if err := os.WriteFile(path, append(data, `{"time":"19`...), 0o600); err != nil {
		t.Fatal(err)
	}
	l = Open(dir, logr.Discard(), func() {})
	l.Append(entry(5))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for want, q := range map[string]Query{"[1 2 3 4 5]": {Tail: -1}, "[4 5]": {Tail: 2}, "[1 3 5]": {Tail: -1, Key: "Service/s1"}, "[5]": {Tail: 1, Key: "Service/s1"}, "[]": {Tail: 0}} {
		if got := fmt.Sprint(read(t, l, q)); got != want {
			t.Errorf("%+v: %s, want %s", q, got, want)
		}
	}
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	l := open(dir, logr.Discard(), func() {}, 1000)
	const n = 200
	for i := range n {
		l.Append(entry(i + 1))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) != MaxFiles {
		t.Errorf("there are %d files: %v", len(files), files)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Size() > 1000 {
			t.Errorf("%s has %d bytes", f, info.Size())
		}
	}
	got := read(t, l, Query{Tail: -1})
	for i, r := range got {
		if r != got[0]+int64(i) {
			t.Fatalf("gaps in %v", got)
		}
	}
	if len(got) < 20 || got[len(got)-1] != n {
		t.Errorf("%d entries are left, the last is %d", len(got), got[len(got)-1])
	}
}

func TestFollow(t *testing.T) {
	l := Open(t.TempDir(), logr.Discard(), func() {})
	l.Append(entry(1))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := make(chan int64, 10)
	ended := make(chan error, 1)
	go func() {
		ended <- l.Read(ctx, Query{Tail: -1, Follow: true, Key: "Service/s1"}, func(e Entry) error { got <- e.Revision; return nil })
	}()
	next := func(want int64) {
		t.Helper()
		select {
		case r := <-got:
			if r != want {
				t.Fatalf("got %d, want %d", r, want)
			}
		case <-time.After(time.Minute):
			t.Fatal("nothing comes")
		}
	}
	next(1)
	l.Append(entry(2))
	l.Append(entry(3))
	next(3)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	go func() {
		ended <- l.Read(t.Context(), Query{Tail: 1, Follow: true}, func(e Entry) error { got <- e.Revision; return nil })
	}()
	next(3)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("at the end of the log: %v", err)
	}
}

// A disk that takes nothing loses lines, is spoken of once, and holds up nobody; when it is well again the log goes on.
func TestDiskFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file where the directory shall be
		t.Fatal(err)
	}
	var lost atomic.Int64
	said := make(chan string, 100)
	l := Open(dir, funcr.New(func(_, args string) { said <- args }, funcr.Options{}), func() { lost.Add(1) })
	for i := range 10 {
		l.Append(entry(i))
	}
	<-said
	for deadline := time.Now().Add(time.Minute); lost.Load() < 10; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of 10 entries are counted as lost", lost.Load())
		}
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	l.Append(entry(11))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(read(t, l, Query{Tail: -1})); got != "[11]" || len(said) != 0 || lost.Load() != 10 {
		t.Errorf("afterwards it has %s, said %d more, lost %d", got, len(said), lost.Load())
	}
}
