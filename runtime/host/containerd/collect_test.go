package containerd

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestDropHalfMade(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "io.containerd.content.v1.content", "ingest")
	for name, ref := range map[string]string{"empty": "", "noted": "layer-1"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "ref"), []byte(ref), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "bare"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := dropHalfMade(root); err != nil {
		t.Fatal(err)
	}
	if left, err := listDir(dir)(t.Context()); err != nil || !slices.Equal(left, []string{"noted"}) {
		t.Errorf("left are %v, %v", left, err)
	}
	if err := dropHalfMade(t.TempDir()); err != nil {
		t.Errorf("before the first start: %v", err)
	}
}
