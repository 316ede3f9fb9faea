//go:build e2e

package node

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	v1 "warren.io/warren/apis/v1"
)

// TestImportAfterApply: who applies first and brings the image then need not wait for the next try of a registry.
func TestImportAfterApply(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.ready()
	w.apply(service("web", image+"replicas: 2"))
	task := w.one("web", "says that nobody answers", func(t *v1.Task) bool { return t.Status.Reason == "ImagePull" })
	if waited := time.Since(task.Metadata.Created); waited > 25*time.Second {
		t.Errorf("nothing was said for %v", waited)
	}
	contains(t, "message", task.Status.Message, "pull warren.io/hello:1")
	began := time.Now()
	w.ctl("image", "import", helloTar)
	w.await("both run", func() bool { return w.service("web").Status.Ready == 2 })
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("they run %v after the image came", took)
	}
}

// archive writes another image of that name, as docker save does.
func archive(t *testing.T, tag, label string) string {
	t.Helper()
	ref, err := name.NewTag(tag)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := tarball.WriteToFile(path, ref, helloImage(t, label, "")); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestNewImageOfTheSameName: tasks of one template run one image, also those that are made after another was imported
// under the name; the next template runs the new one.
func TestNewImageOfTheSameName(t *testing.T) {
	t.Parallel()
	w := running(t)
	w.apply(service("web", image), "--wait")
	old := w.one("web", "runs", ready).Status.ImageDigest
	path := archive(t, "warren.io/hello:1", "new")
	contains(t, "import", w.ctl("image", "import", path), "warren.io/hello:1")
	w.apply(service("other", image), "--wait")
	fresh := w.one("other", "runs", ready).Status.ImageDigest
	if fresh == old {
		t.Error("a new service runs the image that had the name before")
	}
	w.apply(service("web", image+"replicas: 3"), "--wait", "--timeout", "20s")
	for _, task := range w.current("web") {
		if task.Status.ImageDigest != old {
			t.Errorf("%s runs %s beside %s", task.Metadata.Name, task.Status.ImageDigest, old)
		}
	}
	w.apply(service("web", image+"replicas: 3\nenv: {A: b}"), "--wait")
	for _, task := range w.current("web") {
		if task.Status.ImageDigest != fresh {
			t.Errorf("%s runs %s, want the new %s", task.Metadata.Name, task.Status.ImageDigest, fresh)
		}
	}
}

// TestBadUpdateStops: an update that does not run takes one task of three and no more; the next one mends it.
func TestBadUpdateStops(t *testing.T) {
	t.Parallel()
	w := running(t)
	w.apply(service("web", image+"replicas: 3"), "--wait")
	kept := w.tasks("web")
	w.apply(service("web", image+"replicas: 3\nargs: [-exit, \"1\"]\nrestart: {delay: 200ms, maxDelay: 400ms}"))
	w.await("the new one is a crash loop", func() bool {
		for _, task := range w.current("web") {
			if task.Status.Reason == v1.ReasonCrashLoop && task.Status.Failures > 5 {
				return true
			}
		}
		return false
	})
	for _, task := range kept[1:] {
		w.alive(task)
	}
	if st := w.service("web").Status; st.Updated != 1 || st.Ready != 2 {
		t.Errorf("status %+v", st)
	}
	w.apply(service("web", image+"replicas: 3\nenv: {GOOD: again}"), "--wait")
	for _, task := range w.current("web") {
		w.visit(task)
	}
}

// TestOneEventPerLoop: a loop is told once, although the process runs for a moment each time and warren itself is started anew.
func TestOneEventPerLoop(t *testing.T) {
	t.Parallel()
	w := running(t)
	w.apply(service("ill", image+`
args: [-fail-after, 150ms]
restart: {delay: 100ms, maxDelay: 300ms}`))
	failures := func(least int) {
		w.one("ill", fmt.Sprint(least, " failures"), func(t *v1.Task) bool { return t.Status.Failures >= least && t.Status.Reason == v1.ReasonCrashLoop })
	}
	failures(6)
	w.terminate()
	w.start()
	w.ready()
	failures(10)
	if e := w.events("Task/ill-1-1", "CrashLoop"); len(e) != 1 || e[0].Status.Count != 1 {
		t.Errorf("events: %+v", e)
	}
}

// TestCannotRun: what can never run says so, with the reason, and is gone at once when it is deleted.
func TestCannotRun(t *testing.T) {
	t.Parallel()
	w := running(t)
	wants := map[string]string{
		"user":    "nobody-there",
		"command": "/no/such/program",
	}
	w.apply(service("user", image+"user: nobody-there") + service("command", image+"command: [/no/such/program]") +
		service("pull", "image: 127.0.0.1:1/none:1") + service("loop", image+"args: [-exit, \"1\"]"))
	for name, word := range wants {
		task := w.one(name, "is rejected", phase(v1.TaskRejected))
		if task.Status.Reason != "InvalidSpec" || !strings.Contains(task.Status.Message, word) {
			t.Errorf("%s: %+v", name, task.Status)
		}
		if e := w.events("Task/"+task.Metadata.Name, "Rejected"); len(e) != 1 || !strings.Contains(e[0].Status.Message, word) {
			t.Errorf("%s: events %+v", name, e)
		}
	}
	w.one("pull", "waits for its image", func(t *v1.Task) bool { return t.Status.Reason == "ImagePull" })
	began := time.Now()
	w.ctl("delete", "service/user", "service/command", "service/pull", "service/loop")
	w.await("all are gone", func() bool { return len(w.list("tasks"))+len(w.list("services")) == 0 })
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("they are gone after %v", took)
	}
	w.await("nothing is left", func() bool { return len(w.host.Orphans(t)) == 0 })
}

// TestTaskDeletedByHand: its slot is filled by another.
func TestTaskDeletedByHand(t *testing.T) {
	t.Parallel()
	w := running(t)
	w.apply(service("web", image+"replicas: 2"), "--wait")
	kept := w.tasks("web")[1]
	w.ctl("delete", "task/web-1-1")
	w.await("another is in its place", func() bool {
		all := w.tasks("web")
		return len(all) == 2 && ready(all[0]) && all[0].Metadata.Name == "web-1-3"
	})
	w.alive(kept)
	if left := w.host.Orphans(t, "web-1-3", "web-2-2"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
