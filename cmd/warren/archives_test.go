package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

func TestArchiveFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.tar", "a.tar.gz", "c.tgz", "d.tar.zst", "e.tzst", ".hidden.tar", "f.tar.part", "g.txt", "far"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(os.Mkdir(filepath.Join(dir, "folder.tar"), 0o700), os.Symlink("far", filepath.Join(dir, "link.tar")),
		os.Symlink("nowhere", filepath.Join(dir, "lost.tar")))
	if err != nil {
		t.Fatal(err)
	}
	found, err := archiveFiles(dir)
	for i, f := range found {
		found[i] = filepath.Base(f)
	}
	// A link that leads nowhere is kept: opening it says so.
	want := []string{"a.tar.gz", "b.tar", "c.tgz", "d.tar.zst", "e.tzst", "link.tar", "lost.tar"}
	if err != nil || !slices.Equal(found, want) {
		t.Errorf("%q %v", found, err)
	}
	if _, err := archiveFiles(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestOfTheDisk(t *testing.T) {
	for err, want := range map[error]bool{
		fmt.Errorf("import image: %w", &os.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC}): true,
		errors.New("import image: apply layer: write /x: no space left on device"):                  true,
		errors.New("import image: unexpected EOF"):                                                  false,
		fmt.Errorf("import image: %w", os.ErrNotExist):                                              false,
	} {
		if ofTheDisk(err) != want {
			t.Errorf("%v: %t", err, !want)
		}
	}
}
