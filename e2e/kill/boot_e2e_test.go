//go:build e2e

package kill

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"warren.io/warren/e2e/hosts"
)

// TestFirstBoot kills fresh nodes before they know who they are, each a little later than the one before.
func TestFirstBoot(t *testing.T) {
	for after := time.Duration(0); after < 120*time.Millisecond; after += 10 * time.Millisecond {
		n := bareNode(t)
		for range 2 {
			if err := n.start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(after)
			n.kill()
		}
		if err := n.start(); err != nil {
			t.Fatal(err)
		}
		w := &world{node: n, model: model{now: services{}}}
		w.model.begin()
		if err := n.ready(t.Context()); err != nil {
			t.Fatalf("killed after %s: %v", after, err)
		}
		if w.settle(t, nil); t.Failed() {
			t.Fatalf("killed after %s", after)
		}
		n.kill()
	}
}

// TestImport cuts the power in the middle of an import. The image is here or not, nothing else is, and the next import works.
func TestImport(t *testing.T) {
	for after := time.Millisecond; after < 150*time.Millisecond; after = after*3/2 + time.Millisecond {
		n := bareNode(t)
		if err := n.start(); err != nil {
			t.Fatal(err)
		}
		if err := n.ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- n.importImage(t.Context()) }()
		time.Sleep(after)
		if err := n.host.Reboot(); err != nil {
			t.Fatal(err)
		}
		_ = n.warren.Wait()
		acknowledged := <-done == nil
		if err := n.start(); err != nil {
			t.Fatal(err)
		}
		w := &world{node: n, model: model{now: services{}}}
		if w.settle(t, nil); t.Failed() {
			t.Fatalf("cut after %s", after)
		}
		images, err := n.store.ListImages(t.Context())
		if err != nil || acknowledged && len(images) == 0 {
			t.Fatalf("cut after %s, acknowledged %t: images %v, %v", after, acknowledged, images, err)
		}
		w.runOne(t)
		n.kill()
		t.Logf("cut after %s: acknowledged %t, %d images", after, acknowledged, len(images))
	}
}

// runOne imports the image and sees that it runs.
func (w *world) runOne(t *testing.T) {
	t.Helper()
	if err := w.node.importImage(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.model.begin()
	r := &round{changes: []change{{"web": {replicas: 1}}}}
	if err := w.write(r, make(chan int, 1)); err != nil {
		t.Fatal(err)
	}
	if w.settle(t, nil); t.Failed() {
		t.FailNow()
	}
}

// TestTwice starts a second warren in the directories of a first, which does not notice.
func TestTwice(t *testing.T) {
	n := newNode(t)
	w := &world{node: n, model: model{now: services{}}}
	w.runOne(t)
	other := t.TempDir()
	for what, dirs := range map[string][2]string{
		"data directory": {n.host.DataDir, filepath.Join(other, "r")},
		"run directory":  {filepath.Join(other, "d"), n.host.RunDir},
		"both":           {n.host.DataDir, n.host.RunDir},
	} {
		out, err := n.host.Command(t.Context(), n.program, "run", "--data-dir", dirs[0], "--run-dir", dirs[1]).CombinedOutput()
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if last := lines[len(lines)-1]; err == nil || !strings.Contains(last, "another warren") {
			t.Errorf("second warren on the same %s: %v: %s", what, err, out)
		}
	}
	w.model.begin()
	w.settle(t, nil) // which compares with before
	if all, err := n.host.Processes(); err == nil {
		warrens := 0
		for _, p := range all {
			if p.Kind == hosts.Warren {
				warrens++
			}
		}
		if warrens != 1 {
			t.Errorf("%d warrens run", warrens)
		}
	}
}
