package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"warren.io/warren/runtime/backup"
)

func touch(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestThin(t *testing.T) {
	dir, at := t.TempDir(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	others := []string{"notes.txt", "warren-OTHER-20200101T000000Z-r1.backup", "warren-C1-20200101T000000Z-r1.backup.old", "warren-C1-2020-r1.backup"}
	touch(t, dir, others...)
	var ours []string
	for i := range 5 {
		b := &backup.Backup{Header: backup.Header{Cluster: "C1", Created: at.AddDate(0, 0, i), Revision: int64(1000 - i)}}
		ours = append(ours, nameOf(b))
	}
	touch(t, dir, ours...)
	last, err := newest(dir, "C1")
	if err != nil || last.name != ours[4] || last.rev != 996 || !last.at.Equal(at.AddDate(0, 0, 4)) {
		t.Errorf("newest: %+v %v", last, err)
	}
	if err := thin(dir, "C1", 2); err != nil {
		t.Fatal(err)
	}
	entries, _ := os.ReadDir(dir)
	left := map[string]bool{}
	for _, e := range entries {
		left[e.Name()] = true
	}
	for _, name := range append(others, ours[3], ours[4]) {
		if !left[name] {
			t.Errorf("%s is gone", name)
		}
	}
	if len(left) != len(others)+2 {
		t.Errorf("left: %v", left)
	}
	if _, err := newest(filepath.Join(dir, "none"), "C1"); err == nil {
		t.Error("a directory that is missing")
	}
}

func TestSavedTellsOnce(t *testing.T) {
	s, now, bad := &saved{on: true}, time.Now(), errors.New("no stick")
	for i, c := range []struct {
		err   error
		fresh bool
	}{{nil, false}, {bad, true}, {bad, false}, {errors.New("other"), false}, {nil, false}, {bad, true}} {
		if got := s.note(now, c.err); got != c.fresh {
			t.Errorf("%d: told %t", i, got)
		}
	}
	if c := s.checks(); len(c) != 1 || !c[0].OK || c[0].Message != "warning: no stick" {
		t.Errorf("%+v", c)
	}
}

// A recovered store begins beyond everything that any store of the cluster can have had.
func TestEpoch(t *testing.T) {
	made, year := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), 365*24*time.Hour
	first := epoch(5000, made, made.Add(time.Hour))
	for name, e := range map[string]int64{
		"the same backup again, later":    epoch(5000, made, made.Add(time.Hour+time.Minute)),
		"a directory recovered before":    epoch(first, made, made.Add(time.Hour)),
		"a clock that is wrong":           epoch(first+90, made, time.Unix(3600, 0)),
		"a backup of what was recovered":  epoch(first+1_000_000, made.Add(year), made.Add(year)),
		"the newest with the clock of it": epoch(first+100, made.Add(time.Hour), time.Unix(0, 0)),
	} {
		if e <= first || e >= 1<<53 {
			t.Errorf("%s: %d after %d", name, e, first)
		}
	}
	if e := epoch(5000, made, time.Unix(3600, 0)); e < made.Unix()*perSecond {
		t.Errorf("a wrong clock: %d", e)
	}
}

func TestRecoverySparesWhatIsThere(t *testing.T) {
	data, run := t.TempDir(), t.TempDir()
	r := recovery{data: data, run: run, from: "x"}
	touch(t, data, lockName)
	if err := r.free(); err != nil {
		t.Error(err)
	}
	touch(t, run, "tasks/web-1-1")
	if err := r.free(); err == nil || !strings.Contains(err.Error(), "tasks run below") {
		t.Error(err)
	}
	touch(t, data, "etcd/member/x")
	if err := r.free(); err == nil || !strings.Contains(err.Error(), "is not empty: it has etcd") {
		t.Error(err)
	}
	r.force = true
	if err := r.free(); err != nil {
		t.Error(err)
	}
	r.data = filepath.Join(data, "none")
	if r.force = false; r.free() == nil { // the tasks are still there
		t.Error("tasks of another directory")
	}
}
