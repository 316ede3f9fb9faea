//go:build e2e

package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// kiosk is a node that follows a directory, which has two services, and one service that somebody applied by hand.
func kiosk(t *testing.T) (w *world, dir string) {
	t.Helper()
	w = newWorld(t)
	dir = filepath.Join(t.TempDir(), "boot")
	write(t, filepath.Join(dir, "a.yaml"), service("alpha", image))
	write(t, filepath.Join(dir, "b.yaml"), service("beta", image))
	w.start("--manifests", dir)
	w.ready()
	w.ctl("image", "import", helloTar)
	w.apply(service("byhand", image), "--wait")
	w.await("what the directory says runs", func() bool { return w.runs("alpha", "beta", "byhand") })
	return w, dir
}

// runs tells whether exactly these services are there and all have a ready task.
func (w *world) runs(names ...string) bool {
	if len(w.list("services")) != len(names) {
		return false
	}
	for _, name := range names {
		if all := w.tasks(name); len(all) != 1 || !ready(all[0]) {
			return false
		}
	}
	return true
}

func (w *world) goodAgain() {
	w.t.Helper()
	w.await("the manifests are good", func() bool { ok, _ := w.check("manifests"); return ok })
	if w.readyz().code != 200 {
		w.t.Errorf("readyz: %+v", w.readyz())
	}
}

// refused waits until the check of the manifests says all of the words.
func (w *world) refused(words ...string) {
	w.t.Helper()
	w.await("refused for "+strings.Join(words, ", "), func() bool {
		ok, message := w.check("manifests")
		for _, word := range words {
			ok = ok || !strings.Contains(message, word)
		}
		return !ok
	})
	if w.readyz().code != 503 {
		w.t.Errorf("readyz is %d though the manifests are refused", w.readyz().code)
	}
	w.await("the event", func() bool {
		e := w.events("Cluster/warren", "ManifestsRefused")
		return len(e) == 1 && strings.Contains(e[0].Status.Message, words[0])
	})
}

func TestKioskFollows(t *testing.T) {
	t.Parallel()
	w, dir := kiosk(t)
	w.goodAgain()
	kept := w.one("alpha", "runs", ready)
	write(t, filepath.Join(dir, "b.yaml"), service("beta", image+"env: {A: b}"))
	write(t, filepath.Join(dir, "c.json"), `{"apiVersion": "warren.io/v1", "kind": "Service", "metadata": {"name": "gamma"}, "spec": {"image": "warren.io/hello:1"}}`+"\n")
	w.await("the change runs", func() bool {
		return w.runs("alpha", "beta", "gamma", "byhand") && len(w.tasks("beta")[0].Spec.Env) == 1
	})
	if err := os.Remove(filepath.Join(dir, "c.json")); err != nil {
		t.Fatal(err)
	}
	w.await("what was removed is pruned", func() bool { return w.runs("alpha", "beta", "byhand") })
	w.alive(kept)

	// What changed while nobody followed is found at the next start, and nothing else is done.
	w.terminate()
	if err := os.Remove(filepath.Join(dir, "b.yaml")); err != nil {
		t.Fatal(err)
	}
	w.start("--manifests", dir)
	w.await("beta is pruned after the start", func() bool { return w.readyz().code == 200 && w.runs("alpha", "byhand") })
	w.alive(kept)
}

// TestKioskKeeps: whatever is wrong with the directory, nothing is deleted, and people can read what it is.
func TestKioskKeeps(t *testing.T) {
	t.Parallel()
	w, dir := kiosk(t)
	before := []string{}
	for _, name := range []string{"alpha", "beta", "byhand"} {
		before = append(before, w.one(name, "runs", ready).Metadata.Name)
	}
	good := service("alpha", image) // what a.yaml says
	a := filepath.Join(dir, "a.yaml")
	for _, c := range []struct {
		what  string
		do    func()
		words []string
	}{
		{"a mistake", func() { write(t, a, good+"  replcias: 2\n") }, []string{"a.yaml:8: Service/alpha: spec.replcias: unknown field; did you mean 'replicas'?"}},
		{"half a file", func() { write(t, a, good[:strings.Index(good, "spec:")+6]) }, []string{"a.yaml:"}},
		{"no YAML", func() { write(t, a, good+"\t: [\n") }, []string{"a.yaml:"}},
		{"no files", func() { _ = os.Rename(dir, dir+".away"); _ = os.Mkdir(dir, 0o755) }, []string{dir}},
		{"no directory", func() { _ = os.Remove(dir) }, []string{dir + ": no such file or directory"}},
		{"a file in its place", func() { write(t, dir, "x") }, []string{dir + ": is no directory"}},
	} {
		t.Log(c.what)
		c.do()
		w.refused(c.words...)
		if !w.runs("alpha", "beta", "byhand") {
			t.Fatalf("%s: services or tasks are gone:\n%s", c.what, w.ctl("get", "all"))
		}
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	write(t, a, good)
	w.goodAgain()
	w.logged("level=ERROR", "manifests are not applied, the last good state stays", "a.yaml:8: Service/alpha: spec.replcias")
	for i, name := range []string{"alpha", "beta", "byhand"} {
		if task := w.one(name, "runs", ready); task.Metadata.Name != before[i] {
			t.Errorf("%s was replaced by %s", before[i], task.Metadata.Name)
		}
	}
}

// TestKioskSlowWriter: a file of which only the first half is there yet, good as it is, does not remove the other half.
func TestKioskSlowWriter(t *testing.T) {
	t.Parallel()
	w, dir := kiosk(t)
	all := filepath.Join(dir, "a.yaml")
	if err := os.Remove(filepath.Join(dir, "b.yaml")); err != nil {
		t.Fatal(err)
	}
	write(t, all, service("alpha", image)+service("beta", image)) // at once: moved
	kept := w.one("beta", "runs", ready)
	for range 3 {
		write(t, all, service("alpha", image))
		began := time.Now()
		w.await("the writer goes on", func() bool { return time.Since(began) > 700*time.Millisecond })
		write(t, all, service("alpha", image)+service("beta", image))
	}
	write(t, filepath.Join(dir, "c.yaml"), service("gamma", image))
	w.await("what was added runs", func() bool { return w.runs("alpha", "beta", "gamma", "byhand") })
	if now := w.one("beta", "runs", ready); now.Metadata.Name != kept.Metadata.Name || now.Metadata.UID != kept.Metadata.UID {
		t.Errorf("%s was replaced by %s", kept.Metadata.Name, now.Metadata.Name)
	}
	w.alive(kept)
}

// TestKioskBootsWithoutDirectory: the last good state runs, also when the directory is gone at the start.
func TestKioskBootsWithoutDirectory(t *testing.T) {
	t.Parallel()
	w, dir := kiosk(t)
	kept := w.one("alpha", "runs", ready)
	w.terminate()
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	w.start("--manifests", dir)
	w.refused(dir + ": no such file or directory")
	if !w.runs("alpha", "beta", "byhand") {
		t.Errorf("services or tasks are gone:\n%s", w.ctl("get", "all"))
	}
	w.alive(kept)
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	w.goodAgain()
	w.alive(kept)
}
