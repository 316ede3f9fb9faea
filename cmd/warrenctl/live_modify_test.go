package warrenctl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/manifest"
)

// of gives a task to a service.
func of(s *v1.Service, t *v1.Task) *v1.Task {
	t.Metadata.Owner = meta.OwnerOf(s)
	t.Spec.TemplateHash = s.Status.Image.Template
	return t
}

// stored returns what the store has.
func (n *live) stored(name string) *v1.Service {
	n.t.Helper()
	o, err := n.mem.Get(n.t.Context(), meta.Key{Kind: "Service", Name: name})
	if err != nil {
		n.t.Fatal(err)
	}
	return o.Clone().(*v1.Service)
}

// A restart is done when tasks of the new version run, and not while the status is that of before.
func TestRestartWaits(t *testing.T) {
	n := newLive(t, nil)
	web := svc("web", 1, 1, 1, 1)
	web.Status.Image.Template = "old"
	n.put(web)
	n.run(false, "restart", "service/web", "--wait")
	n.prints(&n.err, "service/web: waiting for the cluster\n")
	web = n.stored("web")
	if web.Metadata.Annotations[v1.RestartedAt] == "" {
		t.Error("the restart was not asked for")
	}
	web.Status.Image.Template, web.Status.Updated = "new", 0
	n.put(web)
	n.prints(&n.err, "service/web: 1 of 1 ready, 0 updated\n")
	web.Status.Updated = 1
	n.put(web)
	if code := n.exit(); code != codeDone || n.out.String() != "service/web restarting\n" {
		t.Errorf("exit code %d: %s%s", code, &n.out, &n.err)
	}
}

// Waiting ends at once when it is of no use: a task was given up.
func TestWaitIsHopeless(t *testing.T) {
	n := newLive(t, nil)
	web := svc("web", 1, 1, 1, 0)
	web.Status.Image.Template = "old"
	n.put(web)
	n.run(false, "restart", "service/web", "--wait")
	n.prints(&n.err, "waiting for the cluster")
	web = n.stored("web")
	web.Status.Image.Template = "new"
	mistaken := of(web, task("web-1-1", "web", false))
	mistaken.Status = v1.TaskStatus{Phase: v1.TaskRejected, Reason: host.ReasonPlatformMismatch} // goes to another machine
	n.put(web, mistaken)
	n.prints(&n.err, "1 PlatformMismatch")
	failed := of(web, task("web-1-2", "web", false))
	failed.Status = v1.TaskStatus{Phase: v1.TaskFailed, Reason: "MaxAttempts", Message: "failed 3 times in a row"}
	n.put(failed)
	want := "warrenctl: service/web will not be ready: web-1-2: failed 3 times in a row\ntry: warrenctl why task/web-1-2\n"
	if code := n.exit(); code != codeNo || !strings.HasSuffix(n.err.String(), want) {
		t.Errorf("exit code %d: %s", code, &n.err)
	}
}

// A task that has done its work is no reason to wait.
func TestWaitForAJob(t *testing.T) {
	n := newLive(t, nil)
	job := svc("job", 1, 1, 1, 0)
	job.Status.Image.Template = "old"
	n.put(job)
	n.run(false, "restart", "service/job", "--wait")
	n.prints(&n.err, "waiting for the cluster")
	job = n.stored("job")
	job.Status.Image.Template = "new"
	n.put(job)
	done := of(job, task("job-1-1", "job", false))
	done.Status.Phase = v1.TaskComplete
	n.put(done)
	if code := n.exit(); code != codeDone {
		t.Errorf("exit code %d: %s", code, &n.err)
	}
}

// wait goes on over a restart of the node, and ends when what it waits for is gone.
func TestWaitGoesOn(t *testing.T) {
	n := newLive(t, nil)
	web := svc("web", 2, 1, 1, 1)
	web.Status.Conditions = meta.Conditions{{Type: v1.ConditionAvailable, Status: meta.True}}
	good := svc("good", 1, 1, 1, 1)
	good.Status.Conditions = web.Status.Conditions
	n.put(web, good, svc("api", 1, 1, 1, 0))
	n.run(false, "wait", "service/web", "service/api", "service/good", "--for", "condition=Available")
	n.prints(&n.out, "service/good condition met\n")
	n.down()
	n.prints(&n.err, "waiting for it")
	web.Status.ObservedGeneration = 2 // only now the condition is about the newest spec
	n.put(web)
	n.up()
	n.prints(&n.out, "service/web condition met\n")
	n.remove("Service", "api")
	if code := n.exit(); code != codeNo || !strings.HasSuffix(n.err.String(), "warrenctl: service/api was deleted\n") {
		t.Errorf("exit code %d: %s", code, &n.err)
	}
}

// A deleted service is gone when its tasks are; those of another service of that name are not waited for.
func TestDeleteWaits(t *testing.T) {
	n := newLive(t, nil)
	n.put(svc("web", 1, 1, 1, 1))
	web := n.stored("web")
	n.put(of(web, task("web-1-1", "web", true)))
	n.run(false, "delete", "service/web", "--wait")
	n.prints(&n.out, "service/web deleted\n")
	n.put(svc("web", 1, 0, 1, 0))
	n.put(of(n.stored("web"), task("web-1-2", "web", true)))
	n.remove("Task", "web-1-1")
	if code := n.exit(); code != codeDone {
		t.Errorf("exit code %d: %s", code, &n.err)
	}
}

// What somebody else changed while the editor was open is not written over; what the system changed is no obstacle.
func TestEditAmongOthers(t *testing.T) {
	n := newLive(t, nil)
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("EDITOR", "touch "+dir+"/open; until [ -e "+dir+"/go ]; do sleep 0.01; done; sed -i 's/a:1/a:2/'")
	open, goOn := filepath.Join(dir, "open"), filepath.Join(dir, "go")
	for _, other := range []bool{false, true} {
		n.put(svc("web", 1, 1, 2, 0))
		n.run(false, "edit", "service/web")
		n.appears(open)
		web := svc("web", 1, 1, 2, 1)
		if other {
			web.Spec.Args = []string{"-v"}
		}
		n.put(web)
		if err := os.WriteFile(goOn, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		code, image := n.exit(), n.stored("web").Spec.Image
		switch {
		case !other && (code != codeDone || image != "a:2"):
			t.Errorf("exit code %d, image %s: %s", code, image, &n.err)
		case other && (code != codeFailed || image != "a:1" || !strings.Contains(n.err.String(), "service/web was changed by somebody else meanwhile")):
			t.Errorf("exit code %d, image %s: %s", code, image, &n.err)
		}
		_, _ = os.Remove(open), os.Remove(goOn)
	}
}

// apply --prune --wait ends when what was removed is gone with its tasks, too.
func TestApplyWaitsForThePruned(t *testing.T) {
	n := newLive(t, nil)
	t.Chdir(t.TempDir())
	for _, name := range []string{"web", "old"} {
		s := svc(name, 1, 1, 1, 1)
		s.Metadata.Labels = map[string]string{manifest.SetLabel: "shop"}
		n.put(s)
	}
	n.put(of(n.stored("old"), task("old-1-1", "old", true)))
	if err := os.WriteFile("web.yaml", []byte("apiVersion: warren.io/v1\nkind: Service\nmetadata: {name: web}\nspec: {image: 'a:1'}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.run(false, "apply", "-f", "web.yaml", "--set", "shop", "--prune", "--wait")
	n.prints(&n.err, "service/web: 1 of 1 ready\n")
	n.remove("Task", "old-1-1")
	if code := n.exit(); code != codeDone || n.out.String() != "service/web unchanged\nservice/old deleted\n" {
		t.Errorf("exit code %d: %s%s", code, &n.out, &n.err)
	}
}
