//go:build e2e

package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/e2e/hosts"
)

// vault is a directory for backups with a passphrase beside it.
func vault(t *testing.T) (dir, pass string) {
	t.Helper()
	dir = t.TempDir()
	pass = filepath.Join(dir, "pass")
	write(t, pass, "correct horse battery\n")
	return dir, pass
}

// warren runs another command of the node, which must not fail.
func (w *world) warren(verb string, args ...string) string {
	w.t.Helper()
	r := w.run("", warren, append(append([]string{verb}, w.dirFlags()...), args...)...)
	if r.code != 0 {
		w.t.Fatalf("warren %s %q: exit %d\n%s%s", verb, args, r.code, r.out, r.err)
	}
	return r.out + r.err
}

func (w *world) allReady(service string, n int) {
	w.t.Helper()
	w.await(service+" is ready", func() bool {
		all := w.current(service)
		for _, t := range all {
			if !ready(t) {
				return false
			}
		}
		return len(all) == n
	})
}

func namesOf(all []*v1.Task) (out []string) {
	for _, t := range all {
		out = append(out, t.Metadata.Name)
	}
	return out
}

// count is the last number of a task's name.
func count(t *testing.T, task string) int {
	t.Helper()
	n, err := strconv.Atoi(task[strings.LastIndex(task, "-")+1:])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestRecoverOnAnotherMachine: of a node of which nothing is left, a backup makes the same one: services, names of tasks, counts and
// keys. No value shows in the file.
func TestRecoverOnAnotherMachine(t *testing.T) {
	t.Parallel()
	dir, pass := vault(t)
	w := running(t, "--listen", "127.0.0.1:7070")
	w.apply(service("web", image+"replicas: 3\nenv: {PASSWORD: hunter2hunter2}"), "--wait")
	w.ctl("restart", "service/web", "--wait")
	before, file := namesOf(w.current("web")), filepath.Join(dir, "a.backup")
	w.ctl("backup", "create", "-o", file, "--passphrase-file", pass)
	data, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(data), "hunter2") || strings.Contains(string(data), "PRIVATE KEY") || strings.Contains(string(data), "web-") {
		t.Errorf("what is secret shows in the file (%v)", err)
	}
	contains(t, "verify", w.ctl("backup", "verify", file, "--passphrase-file", pass), "Service     1\n", "Task        3\n", "ok: ")
	keys := filepath.Join(dir, "keys")
	if err := os.CopyFS(keys, os.DirFS(filepath.Join(w.host.DataDir, "keys"))); err != nil {
		t.Fatal(err)
	}
	w.terminate()
	w.warren("reset", "--yes")

	w.ctl("backup", "restore", file, "--passphrase-file", pass, "--data-dir", w.host.DataDir, "--run-dir", w.host.RunDir)
	w.start("--listen", "127.0.0.1:7070")
	w.ready()
	w.ctl("image", "import", helloTar)
	w.allReady("web", 3)
	if got := namesOf(w.current("web")); strings.Join(got, " ") != strings.Join(before, " ") {
		t.Errorf("tasks %q, were %q", got, before)
	}
	if h := w.visit(w.current("web")[0]); !strings.Contains(strings.Join(h.Env, " "), "PASSWORD=hunter2hunter2") {
		t.Errorf("environment %q", h.Env)
	}
	w.ctl("restart", "service/web", "--wait")
	for _, name := range namesOf(w.current("web")) {
		for _, was := range before {
			if count(t, name) <= count(t, was) {
				t.Errorf("after %s there is %s: a count went back", was, name)
			}
		}
	}
	contains(t, "with the keys from before", w.ctl("--server", "127.0.0.1:7070", "--keys", keys, "get", "nodes", "-o", "name"), "node/n1")
}

// TestRecoverInPlace: on the machine where they run, tasks that the backup knows are taken over untouched, what it does not know goes
// on until the operator says otherwise, and a store from before the recovery is refused.
func TestRecoverInPlace(t *testing.T) {
	t.Parallel()
	dir, pass := vault(t)
	w := running(t)
	w.apply(service("web", image+"replicas: 2"), "--wait")
	kept, file := w.tasks("web"), filepath.Join(dir, "a.backup")
	w.ctl("backup", "create", "-o", file, "--passphrase-file", pass)
	w.apply(service("late", image), "--wait")
	late := w.tasks("late")[0]
	w.terminate()
	w.warren("recover", "--from", file, "--passphrase-file", pass, "--force")
	w.start()
	w.ready()
	same := func() {
		t.Helper()
		w.allReady("web", 2)
		for i, task := range w.current("web") {
			if task.Status.PID != kept[i].Status.PID || task.Status.Restarts != 0 || task.Metadata.UID != kept[i].Metadata.UID {
				t.Errorf("%s was not taken over: %+v", task.Metadata.Name, task)
			}
			w.alive(task)
		}
	}
	same()
	w.await("the unknown task is told of", func() bool { _, m := w.check("recovered"); return strings.Contains(m, late.Metadata.Name) })
	w.await("the event", func() bool { return len(w.events("cluster/warren", "UnknownTasks")) == 1 })
	w.alive(late)

	w.terminate()
	w.warren("recover", "--stop-unknown")
	w.start()
	w.ready()
	w.await("it is stopped", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/%d", late.Status.PID))
		return errors.Is(err, fs.ErrNotExist)
	})
	same()

	w.terminate()
	old, err := filepath.Glob(filepath.Join(w.host.DataDir, "etcd.before-*"))
	if err != nil || len(old) != 1 {
		t.Fatal(old, err)
	}
	etcd := filepath.Join(w.host.DataDir, "etcd")
	if err := errors.Join(os.Rename(etcd, etcd+".right"), os.Rename(old[0], etcd)); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.await("the store from before is refused", func() bool { _, m := w.check("store"); return strings.Contains(m, "is from before that") })
	for _, task := range kept {
		w.alive(task)
	}
	w.terminate()
}

func backupsIn(t *testing.T, dir string) (out []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "warren-*.backup"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var age = regexp.MustCompile(`(?m)^warren_backup_age_seconds (\S+)$`)

// looks waits until the schedule has come round once more: then the backup is younger than it was.
func (w *world) looks() {
	w.t.Helper()
	read := func() float64 {
		if m := age.FindStringSubmatch(w.api("/metrics").body); m != nil {
			v, _ := strconv.ParseFloat(m[1], 64)
			return v
		}
		return 1e9
	}
	for last := read(); ; {
		var now float64
		w.await("a look at what changed", func() bool { now = read(); return now != last })
		if now < last {
			return
		}
		last = now
	}
}

// TestScheduledBackups: they are written when something changed and not otherwise, the newest are kept, a directory that is missing is
// told of once, and each file is whole.
func TestScheduledBackups(t *testing.T) {
	t.Parallel()
	top, pass := vault(t)
	dir := filepath.Join(top, "backups")
	w := newWorld(t)
	flags := []string{"--backup-dir", dir, "--backup-every", "1s", "--backup-keep", "2", "--backup-passphrase-file", pass}
	w.start(flags...)
	w.ready()
	w.await("the missing directory is told of", func() bool {
		ok, m := w.check("backup")
		return ok && strings.HasPrefix(m, "warning: read --backup-dir")
	})
	w.await("an event", func() bool { return len(w.events("cluster/warren", "BackupFailed")) == 1 })
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w.await("a backup", func() bool { return len(backupsIn(t, dir)) == 1 })
	w.await("all is well", func() bool { ok, m := w.check("backup"); return ok && m == "" })
	w.looks()
	before := backupsIn(t, dir)
	w.looks()
	w.looks()
	if got := backupsIn(t, dir); strings.Join(got, " ") != strings.Join(before, " ") {
		t.Errorf("nothing changed, and there is %q after %q", got, before)
	}
	for i := range 3 {
		last := backupsIn(t, dir)
		newest := last[len(last)-1]
		w.apply(service(fmt.Sprintf("n%d", i), image+"replicas: 0"))
		w.await("a new backup", func() bool { now := backupsIn(t, dir); return now[len(now)-1] > newest && len(now) <= 2 })
	}
	if n := w.events("cluster/warren", "BackupFailed"); len(n) != 1 || n[0].Status.Count > 1 {
		t.Errorf("told more than once: %+v", n)
	}
	for round := range 4 {
		w.apply(service(fmt.Sprintf("k%d", round), image+"replicas: 0"))
		time.Sleep(time.Duration(rand.IntN(1500)) * time.Millisecond) // any moment of a round of the schedule
		if err := w.host.Kill(hosts.Warren); err != nil {
			t.Fatal(err)
		}
		<-w.ended
		w.whole(dir, pass)
		w.start(flags...)
		w.ready()
	}
}

// whole fails unless every file under a final name is a backup.
func (w *world) whole(dir, pass string) {
	w.t.Helper()
	all := backupsIn(w.t, dir)
	if len(all) == 0 {
		w.t.Error("no backup is left")
	}
	for _, f := range all {
		w.ctl("backup", "verify", f, "--passphrase-file", pass)
	}
}

// TestKilledBackupCreate: whatever the moment, there is the whole file or none under its name.
func TestKilledBackupCreate(t *testing.T) {
	t.Parallel()
	dir, pass := vault(t)
	w := newWorld(t)
	w.start()
	w.ready()
	file, done := filepath.Join(dir, "warren-a.backup"), 0
	for round := range 12 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(60*(round+1)))*time.Millisecond)
		_ = w.host.Command(ctx, warrenctl, "backup", "create", "-o", file, "--passphrase-file", pass).Run() // killed, mostly
		cancel()
		if _, err := os.Stat(file); err != nil {
			continue
		}
		done++
		w.whole(dir, pass)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of 12 came to their end", done)
}

// TestKilledRecover: after a kill at any moment of a recovery no task is touched, be it the old store, the new one or none that is
// found; and the recovery can be done again.
func TestKilledRecover(t *testing.T) {
	t.Parallel()
	dir, pass := vault(t)
	w := running(t)
	w.apply(service("web", image), "--wait")
	kept, file := w.tasks("web")[0], filepath.Join(dir, "a.backup")
	w.ctl("backup", "create", "-o", file, "--passphrase-file", pass)
	w.terminate()
	args := append(append([]string{"recover"}, w.dirFlags()...), "--from", file, "--passphrase-file", pass, "--force")
	for range 5 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(100+rand.IntN(500))*time.Millisecond)
		_ = w.host.Command(ctx, warren, args...).Run() // killed, mostly
		cancel()
		w.start()
		w.await("the node says how it stands", func() bool {
			_, m := w.check("store")
			return w.readyz().code == 200 || strings.Contains(m, "bring ")
		})
		w.alive(kept)
		w.terminate()
	}
	if r := w.run("", warren, args...); r.code != 0 {
		t.Fatalf("recover: %+v", r)
	}
	w.start()
	w.ready()
	w.allReady("web", 1)
	if now := w.current("web")[0]; now.Status.PID != kept.Status.PID || now.Status.Restarts != 0 {
		t.Errorf("%+v", now)
	}
	w.alive(kept)
}
