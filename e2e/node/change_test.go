//go:build e2e

package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestChangeVerbs changes what runs by the verbs beside apply, and sees the effect in the tasks.
func TestChangeVerbs(t *testing.T) {
	t.Parallel()
	w := running(t)
	w.apply(service("web", image+"replicas: 2"), "--wait")
	before := w.tasks("web")

	// restart: new tasks, of the same content, one by one
	expect(t, "restart", w.try("restart", "service/web", "--wait"), 0, "service/web restarting\n", "service/web: ")
	after := w.current("web")
	if len(after) != 2 {
		t.Fatalf("%d tasks after a restart", len(after))
	}
	for _, task := range after {
		if task.Spec.TemplateHash == before[0].Spec.TemplateHash || !ready(task) {
			t.Errorf("%s is not new: %+v", task.Metadata.Name, task.Status)
		}
		if task.Status.ImageDigest == "" || task.Status.ImageDigest != before[0].Status.ImageDigest {
			t.Errorf("%s has content %q, before it was %q", task.Metadata.Name, task.Status.ImageDigest, before[0].Status.ImageDigest)
		}
		w.visit(task)
	}
	r := w.run(service("web", image+"replicas: 2"), warrenctl, "apply", "-f", "-", "--wait")
	expect(t, "the file from before is no other restart", r, 0, "service/web unchanged\n", "")
	expect(t, "events of the service", w.try("events", "--for", "service/web"), 0, "is replaced: the service changed", "")

	// diff says which tasks, and is right
	changed := service("web", image+"env: {A: b}")
	r = w.run(changed, warrenctl, "diff", "-f", "-")
	expect(t, "diff", r, 3, "spec.env[A]", "")
	first, second := after[0].Metadata.Name, after[1].Metadata.Name
	contains(t, "diff", r.out, "stops           "+second, "replaces        "+first)
	w.apply(changed, "--wait")
	if now := w.current("web"); len(now) != 1 || now[0].Metadata.Name == first || now[0].Metadata.Name == second {
		t.Errorf("diff announced that %s stops and %s is replaced; now there are %d tasks, %s", second, first, len(now), now[0].Metadata.Name)
	}

	// label, wait, edit
	expect(t, "label", w.try("label", "service/web", "tier=front"), 0, "service/web labelled\n", "")
	expect(t, "selected", w.try("get", "services", "-l", "tier=front", "-o", "jsonpath={.items[*].metadata.name}"), 0, "web\n", "")
	expect(t, "a label restarts nothing", w.try("wait", "service/web", "--for", "condition=Available", "--timeout", "0"), 0, "condition met", "")
	expect(t, "not now", w.try("wait", "service/web", "--for", "jsonpath={.status.ready}=7", "--timeout", "0"), 3, "", ".status.ready is 1")
	expect(t, "edit", w.run("", "env", "EDITOR=sed -i 's/replicas: 1/replicas: 2/'", warrenctl, "edit", "service/web"), 0, "service/web configured\n", "")
	expect(t, "wait", w.try("wait", "service/web", "--for", "jsonpath={.status.ready}=2", "--timeout", "1m"), 0, "service/web condition met\n", "")

	// what can never run is told at once
	r = w.run(service("bad", "image: warren.io/hello:1\ncommand: [/nothing]\nrestart: {maxAttempts: 1, delay: 10ms}"), warrenctl, "apply", "-f", "-", "--wait")
	expect(t, "what cannot run", r, 3, "service/bad created\n", "service/bad will not be ready: bad-1-1: ")

	expect(t, "events of its task", w.try("events", "--for", "service/bad"), 0, "task/bad-1-1", "")

	// delete --wait: nothing is left
	expect(t, "delete", w.try("delete", "service/web", "service/bad", "--wait"), 0, "service/web deleted\n", "")
	if left := w.list("tasks"); len(left) > 0 {
		t.Errorf("%d tasks are left", len(left))
	}
}

// TestSets prunes on a real node, and waits until what was pruned is gone.
func TestSets(t *testing.T) {
	t.Parallel()
	w := running(t)
	dir := filepath.Join(t.TempDir(), "shop")
	for _, name := range []string{"a", "b", "c"} {
		write(t, filepath.Join(dir, name+".yaml"), service(name, image))
	}
	w.apply(service("byhand", image), "--wait")
	w.ctl("apply", "-f", dir, "--prune", "--wait")
	for _, name := range []string{"b", "c"} {
		if err := os.Remove(filepath.Join(dir, name+".yaml")); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, "too much", w.try("apply", "-f", dir, "--prune"), 1, "", `prune set "shop": would remove more than half of the set: 2 of 3: Service/b, Service/c`)
	expect(t, "forced", w.try("apply", "-f", dir, "--prune", "--force", "--wait"), 0, "service/c deleted\n", "")
	var names []string
	for _, x := range append(w.current("a"), append(w.current("b"), append(w.current("c"), w.current("byhand")...)...)...) {
		names = append(names, x.Metadata.Name)
	}
	if got := strings.Join(names, " "); got != "a-1-1 byhand-1-1" {
		t.Errorf("there are tasks %s", got)
	}
}

// TestKioskGuard: most of the directory missing is no reason to stop most of the stack; other names for it are none to keep it.
func TestKioskGuard(t *testing.T) {
	t.Parallel()
	w, dir := kiosk(t)
	write(t, filepath.Join(dir, "c.yaml"), service("gamma", image))
	w.await("all run", func() bool { return w.runs("alpha", "beta", "gamma", "byhand") })
	for _, name := range []string{"b.yaml", "c.yaml"} {
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(dir, name+".kept")); err != nil {
			t.Fatal(err)
		}
	}
	w.await("it says so", func() bool {
		ok, message := w.check("manifests")
		return !ok && strings.Contains(message, "more than half of the set: 2 of 3") && strings.Contains(message, "--prune --force")
	})
	if !w.runs("alpha", "beta", "gamma", "byhand") {
		t.Error("the last good state does not run")
	}
	if err := os.Rename(filepath.Join(dir, "b.yaml.kept"), filepath.Join(dir, "b.yaml")); err != nil {
		t.Fatal(err)
	}
	w.await("one less is no accident", func() bool { return w.runs("alpha", "beta", "byhand") })
	write(t, filepath.Join(dir, "a.yaml"), service("one", image)+service("two", image))
	if err := os.Remove(filepath.Join(dir, "b.yaml")); err != nil {
		t.Fatal(err)
	}
	w.await("other names", func() bool { return w.runs("one", "two", "byhand") })
}
