package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestResetOfOthersFolders: a mistyped folder is refused before anything in it is touched.
func TestResetOfOthersFolders(t *testing.T) {
	node, other, empty := t.TempDir(), t.TempDir(), t.TempDir()
	for _, f := range []string{filepath.Join(node, identityName), filepath.Join(other, "precious")} {
		if err := os.WriteFile(f, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ data, run string }{
		{other, empty}, {empty, empty}, {node, other}, {filepath.Join(node, "missing"), empty},
	} {
		if err := resetNode(t.Context(), c.data, c.run, ""); err == nil {
			t.Errorf("reset of data %s and run %s was not refused", c.data, c.run)
		}
	}
	if left, err := os.ReadDir(other); err != nil || len(left) != 1 {
		t.Errorf("the other folder was touched: %v %v", left, err)
	}
	if err := checkNode(node, filepath.Join(empty, "after-a-reboot")); err != nil {
		t.Errorf("a node without a run directory: %v", err)
	}
}
