package manifest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
)

// kiosk follows the directory m of a new folder into a store.
type kiosk struct {
	t      *testing.T
	st     store.Store
	status chan Status
}

func follow(t *testing.T, st store.Store) *kiosk {
	t.Helper()
	k := &kiosk{t: t, st: st, status: make(chan Status, 100)}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	f := &Follower{
		Dir: "m",
		Apply: func(ctx context.Context, objects []meta.Object) error {
			_, err := Apply(ctx, st, objects, Options{Set: "kiosk", Prune: true, Guard: GuardShrink})
			return err
		},
		Report: func(s Status) { k.status <- s },
		Pace:   Pace{Quiet: 5 * time.Millisecond, Settle: 100 * time.Millisecond, Retry: 10 * time.Millisecond},
	}
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
	return k
}

// expect waits for a status that contains a text, and then for nothing but these services in the store.
func (k *kiosk) expect(status, services string) {
	k.t.Helper()
	deadline := time.After(10 * time.Second)
	var seen []string
	for {
		select {
		case s := <-k.status:
			seen = append(seen, s.String())
			if !strings.Contains(s.String(), status) {
				continue
			}
		case <-deadline:
			k.t.Fatalf("no status %q, but %q; the store has %s", status, seen, k.services())
		}
		if got := k.services(); got != services {
			k.t.Fatalf("after %q there are services %s, not %s", status, got, services)
		}
		return
	}
}

func (k *kiosk) services() string {
	all, _, err := k.st.List(context.Background())
	if err != nil {
		k.t.Fatal(err)
	}
	var out []string
	for _, o := range all {
		out = append(out, o.Meta().Name+"="+o.(*v1.Service).Spec.Image)
	}
	return strings.Join(out, " ")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(t, os.WriteFile(name, []byte(text), 0o644))
}

func TestFollow(t *testing.T) {
	tree(t, map[string]string{"m/web.yaml": web, "m/api.yaml": api})
	mine := service("mine") // nobody's set: never touched
	k := follow(t, memstore.New(mine))
	k.expect("2 objects applied", "api=a:1 mine=a:1 web=a:1")

	write(t, "m/web.yaml", strings.Replace(web, "a:1", "a:2", 1)+"---\n"+strings.Replace(web, "web", "more", 1))
	k.expect("3 objects applied", "api=a:1 mine=a:1 more=a:1 web=a:2")

	write(t, "m/web.yaml", web+"  replcias: 2\n")
	k.expect("m/web.yaml:7: Service/web: spec.replcias: unknown field", "api=a:1 mine=a:1 more=a:1 web=a:2")

	write(t, "m/web.yaml", web)
	k.expect("2 objects applied", "api=a:1 mine=a:1 web=a:1")

	must(t, os.Remove("m/api.yaml"))
	k.expect("1 object applied", "mine=a:1 web=a:1")

	// Somebody changes what is the directory's; saving the file brings back what it says.
	if _, err := k.st.Commit(t.Context(), store.Op{Verb: store.Delete, Key: meta.Key{Kind: "Service", Name: "web"}, Guard: store.Any}); err != nil {
		t.Fatal(err)
	}
	write(t, "m/web.yaml", web)
	k.await("mine=a:1 web=a:1")
}

// Nothing that goes wrong with the directory removes anything.
func TestFollowNeverDeletesForLackOfData(t *testing.T) {
	tree(t, map[string]string{"m/web.yaml": web})
	k := follow(t, memstore.New())
	k.expect("1 object applied", "web=a:1")

	must(t, os.Rename("m/web.yaml", "kept"))
	k.expect("nothing is changed: m: holds no objects", "web=a:1")

	write(t, "m/web.yaml", "# nothing yet\n")
	must(t, os.RemoveAll("m"))
	k.expect("nothing is changed: m: no such file or directory", "web=a:1")

	write(t, "m", "a file")
	k.expect("m: is no directory", "web=a:1")
	must(t, os.Remove("m"))

	must(t, os.Symlink("m", "m"))
	k.expect("too many levels of symbolic links", "web=a:1")
	must(t, os.Remove("m"))

	must(t, os.Mkdir("m", 0o755))
	must(t, os.Symlink("/nowhere/x.yaml", "m/dead.yaml"))
	k.expect("m/dead.yaml: no such file or directory", "web=a:1")

	must(t, os.Remove("m/dead.yaml"))
	write(t, "m/new.yaml", api)
	k.expect("1 object applied", "api=a:1")
}

// Most of the directory missing is taken for an accident: the last good state stays, until it is clear what is meant.
func TestFollowKeepsWhenMostIsGone(t *testing.T) {
	tree(t, map[string]string{"m/web.yaml": web, "m/api.yaml": api, "m/db.yaml": strings.Replace(web, "web", "db", 1)})
	k := follow(t, memstore.New())
	k.expect("3 objects applied", "api=a:1 db=a:1 web=a:1")
	must(t, os.Remove("m/web.yaml"))
	must(t, os.Rename("m/db.yaml", "kept"))
	k.expect("trying again in 1m0s: prune set \"kiosk\": would remove more than half of the set: 2 of 3: Service/db, Service/web", "api=a:1 db=a:1 web=a:1")
	must(t, os.Rename("kept", "m/db.yaml"))
	k.expect("2 objects applied", "api=a:1 db=a:1")
}

// A directory that appears only later, below others that do not exist either.
func TestFollowWaitsForTheDirectory(t *testing.T) {
	tree(t, nil)
	must(t, os.Symlink("a/b/c", "m"))
	k := follow(t, memstore.New())
	k.expect("m: no such file or directory", "")
	must(t, os.MkdirAll("a/b", 0o755))
	must(t, os.Mkdir("a/b/c", 0o755))
	write(t, "a/b/c/web.yaml", web)
	k.expect("1 object applied", "web=a:1")
}

// Where the system has no watch to give, the directory is applied all the same.
func TestFollowWithoutWatch(t *testing.T) {
	tree(t, map[string]string{"m/web.yaml": web})
	w := &watch{dir: "m", blind: true}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if w.wait(ctx, 0) || w.wait(t.Context(), time.Millisecond) {
		t.Error("something happened, says one that cannot know")
	}
	w.see("m")
	if w.unsee("m"); !w.blind {
		t.Error("it sees without a watch")
	}
	w.close()
}

// The way of Kubernetes' ConfigMaps: files are links into a directory behind a link that is replaced.
func TestFollowLinks(t *testing.T) {
	tree(t, map[string]string{"r1/web.yaml": web, "r2/web.yaml": strings.Replace(web, "a:1", "a:2", 1), "r3/web.yaml": strings.Replace(web, "a:1", "a:3", 1)})
	must(t, os.Mkdir("m", 0o755))
	link := func(to, name string) {
		t.Helper()
		must(t, os.Symlink(to, "tmp"))
		must(t, os.Rename("tmp", name))
	}
	link("../r1", "m/..data")
	link("..data/web.yaml", "m/web.yaml")
	k := follow(t, memstore.New())
	k.expect("1 object applied", "web=a:1")
	link("../r2", "m/..data")
	k.await("web=a:2")
	write(t, "r2/web.yaml", strings.Replace(web, "a:1", "a:9", 1)) // through the links
	k.await("web=a:9")
	must(t, os.Rename("m", "old"))
	link("r3", "m") // the directory itself becomes a link
	k.await("web=a:3")
	link("r1", "m")
	k.await("web=a:1")
}

// await waits for the store alone: a status that stays the same is not reported again.
func (k *kiosk) await(services string) {
	k.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for k.services() != services {
		if time.Now().After(deadline) {
			k.t.Fatalf("there are services %s, not %s", k.services(), services)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// A file that grows in pieces, each of which is right by itself, does not remove what is still to come.
func TestFollowWaitsForTheWriter(t *testing.T) {
	tree(t, map[string]string{"m/all.yaml": web + "---\n" + api})
	r := &recording{Store: memstore.New()}
	k := follow(t, r)
	k.expect("2 objects applied", "api=a:1 web=a:1")
	f, err := os.Create("m/all.yaml")
	must(t, err)
	for _, piece := range []string{strings.Replace(web, "a:1", "a:2", 1), "---\n" + api[:len(api)-2], "2", "1\n"} {
		_, err := f.WriteString(piece)
		must(t, err)
		time.Sleep(30 * time.Millisecond) // longer than quiet, shorter than settle: this is the writer's pace, no wait for an outcome
	}
	must(t, f.Close())
	k.await("api=a:21 web=a:2")
	if n := r.deletes.Load(); n > 0 {
		t.Errorf("%d objects were deleted meanwhile", n)
	}
}

// recording counts what is deleted.
type recording struct {
	store.Store
	deletes atomic.Int32
}

func (r *recording) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	for _, op := range ops {
		if op.Verb == store.Delete {
			r.deletes.Add(1)
		}
	}
	return r.Store.Commit(ctx, ops...)
}

// failing refuses some commits.
type failing struct {
	store.Store
	left int
}

func (f *failing) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if f.left > 0 {
		f.left--
		return 0, store.ErrUnavailable
	}
	return f.Store.Commit(ctx, ops...)
}

func TestFollowTriesAgain(t *testing.T) {
	tree(t, map[string]string{"m/web.yaml": web})
	k := follow(t, &failing{memstore.New(), 3})
	k.expect("trying again in 10ms: apply: store is unavailable", "")
	k.expect("trying again in 40ms: apply: store is unavailable", "")
	k.expect("1 object applied", "web=a:1")
}
