//go:build e2e

package node

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestContainerdOfSomebodyElse: a node uses a containerd that runs already, for what it runs and nothing else, and removes
// its own from it.
func TestContainerdOfSomebodyElse(t *testing.T) {
	t.Parallel()
	owner := running(t)
	owner.apply(service("theirs", image), "--wait")
	theirs := owner.one("theirs", "runs", ready)
	socket := filepath.Join(owner.host.RunDir, "containerd", "containerd.sock")

	w := newWorld(t)
	w.start("--containerd", socket)
	w.ready()
	w.ctl("image", "import", helloTar)
	w.apply(service("ours", image), "--wait")
	ours := w.one("ours", "runs", ready)
	if h := w.visit(ours); h.Service != "ours" {
		t.Errorf("answers as %+v", h)
	}
	for _, x := range []*world{owner, w} {
		if n := len(x.list("tasks")); n != 1 {
			t.Errorf("one node has %d tasks", n)
		}
	}
	w.terminate()
	w.alive(ours)
	if r := w.run("", warren, append(w.dirFlags(), "reset")...); r.code == 0 {
		t.Errorf("flags before the verb: %+v", r)
	}
	r := w.run("", warren, append([]string{"reset", "--yes", "--containerd", socket}, w.dirFlags()...)...)
	if r.code != 0 || !strings.HasPrefix(r.err, "removed the node in ") {
		t.Fatalf("reset: %+v", r)
	}
	if left := w.host.Orphans(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	owner.alive(theirs)
}
