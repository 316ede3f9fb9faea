package reconciler

import (
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
)

// A restart that was asked for replaces the tasks one by one, each when the one before runs, and looks the image up anew.
func TestRestart(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	svc := meta.New[v1.Service]("web")
	svc.Metadata.UID = 7
	svc.Spec.Image = "a:1"
	svc.SetDefaults()
	*svc.Spec.Replicas = 2
	w := world{svc: svc, nodes: []*v1.Node{ready("n1")}, now: now, room: 100}

	w = step(w, "sha256:old")
	w = step(w, "sha256:old")
	if names := namesOf(w.all); names != "web-1-1 web-2-2" {
		t.Fatalf("begins with %s", names)
	}
	svc.Metadata.Annotations = map[string]string{v1.RestartedAt: now.Format(time.RFC3339Nano)}
	w = step(w, "sha256:new")
	if names := namesOf(w.all); names != "web-2-2 web-1-3" {
		t.Errorf("one at a time: %s", names)
	}
	if digest := w.all[1].Spec.ImageDigest; digest != "" {
		t.Errorf("the first new task is bound to %s; it shall find out what the tag means now", digest)
	}
	w = step(w, "sha256:new")
	w = step(w, "sha256:new")
	if names := namesOf(w.all); names != "web-1-3 web-2-4" {
		t.Errorf("ends with %s", names)
	}
	for _, task := range w.all[1:] {
		if task.Spec.ImageDigest != "sha256:new" {
			t.Errorf("%s is bound to %q", task.Metadata.Name, task.Spec.ImageDigest)
		}
	}
	if p := decide(w); len(p.create)+len(p.remove) > 0 {
		t.Error("it does not come to rest")
	}
}

func ready(name string) *v1.Node {
	n := meta.New[v1.Node](name)
	n.Status.State = v1.NodeReady
	return n
}

// step does what decide plans; then all tasks run, and the new ones have found a digest.
func step(w world, found string) world {
	p := decide(w)
	gone := map[string]bool{}
	for _, t := range p.remove {
		gone[t.Metadata.Name] = true
	}
	var left []*v1.Task
	for _, t := range append(w.all, p.create...) {
		if gone[t.Metadata.Name] {
			continue
		}
		if t.Status.Phase == "" {
			t.Spec.Node = "n1"
			t.Status = v1.TaskStatus{Phase: v1.TaskRunning, Ready: true, ImageDigest: found}
		}
		left = append(left, t)
	}
	w.all, w.svc.Status = left, p.status
	return w
}

func namesOf(tasks []*v1.Task) string {
	out := ""
	for _, t := range tasks {
		out += " " + t.Metadata.Name
	}
	return out[min(1, len(out)):]
}
