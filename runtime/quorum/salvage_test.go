package quorum

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"

	v1 "warren.io/warren/apis/v1"
)

// What one of three members has is read from its files when the others are gone; the files stay as they are.
func TestSalvage(t *testing.T) {
	c := newCluster(t, 3)
	for _, name := range []string{"a", "b", "c"} {
		c.put(c.nodes[0], name)
	}
	rev := c.nodes[0].Health().Revision
	n := c.nodes[0]
	dir := n.config.DataDir
	for _, x := range c.nodes {
		if err := x.Quorum.Close(); err != nil {
			t.Fatal(err)
		}
	}
	scratch := filepath.Join(t.TempDir(), "scratch")
	if err := os.CopyFS(scratch, os.DirFS(dir)); err != nil { // as one that was killed has left it
		t.Fatal(err)
	}
	all, at, err := Salvage(t.Context(), Config{DataDir: dir, Name: n.config.Name, Kinds: v1.Kinds, Log: logr.Discard()}, scratch)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 3 || at < rev {
		t.Errorf("%d objects at %d, want 3 at %d or later", len(all), at, rev)
	}
	if _, err := os.Stat(scratch); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the copy is left: %v", err)
	}
	if _, _, err := Salvage(t.Context(), Config{DataDir: t.TempDir(), Name: "x", Kinds: v1.Kinds, Log: logr.Discard()}, scratch); err == nil {
		t.Error("an empty directory was read")
	}
}
