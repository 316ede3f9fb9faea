package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// A store goes as a whole, also where an earlier removal was cut short.
func TestDiscard(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etcd")
	for _, d := range []string{dir, dir + gone} {
		if err := os.MkdirAll(filepath.Join(d, "member", "wal"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second finds nothing
		if err := discard(dir); err != nil {
			t.Fatal(err)
		}
		for _, d := range []string{dir, dir + gone} {
			if _, err := os.Stat(d); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is left: %v", d, err)
			}
		}
	}
}
