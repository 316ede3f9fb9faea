package quorum

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/storetest"
)

const patience = 30 * time.Second

// start runs a member that ends with the test.
func start(t testing.TB, config Config) *Quorum {
	t.Helper()
	q, err := open(t, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}

func open(t testing.TB, config Config) (*Quorum, error) {
	t.Helper()
	if config.DataDir == "" {
		config.DataDir = t.TempDir()
	}
	if config.Log.GetSink() == nil {
		if tt, ok := t.(*testing.T); ok {
			config.Log = testr.New(tt)
		}
	}
	config.Kinds = v1.Kinds
	return Start(t.Context(), config)
}

func service(name string) *v1.Service {
	s := meta.New[v1.Service](name)
	s.Spec.Image = "registry.example.org/shop/front:1.2.3"
	s.Spec.Default()
	return s
}

func commit(t testing.TB, s store.Store, ops ...store.Op) store.Revision {
	t.Helper()
	rev, err := s.Commit(t.Context(), ops...)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// The whole suite through a real member, behind a fence that holds.
func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		q := start(t, Config{})
		rev, err := q.claim(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return q.store.Fenced(leadKey, rev)
	})
}

func TestStopAndStartAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "etcd")
	var last store.Revision
	for i := range 3 {
		began := time.Now()
		q, err := open(t, Config{DataDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("start %d took %v", i, time.Since(began))
		all, rev, err := q.Store().List(t.Context())
		if err != nil || len(all) != i || rev < last {
			t.Fatalf("start %d: %d objects at %d, %v; was at %d", i, len(all), rev, err, last)
		}
		last = commit(t, q.Store(), store.CreateOp(service(fmt.Sprintf("s%d", i))))
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		if !errors.Is(q.Err(), ErrClosed) {
			t.Fatalf("after closing: %v", q.Err())
		}
		if _, err := q.Store().Commit(t.Context(), store.CreateOp(service("late"))); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("commit after closing: %v", err)
		}
	}
}

func TestTwoMembersOnOneMachine(t *testing.T) {
	a, b := start(t, Config{Name: "a"}), start(t, Config{Name: "b"})
	commit(t, a.Store(), store.CreateOp(service("web")))
	if all, _, err := b.Store().List(t.Context()); err != nil || len(all) != 0 {
		t.Fatalf("the other member has %d objects, %v", len(all), err)
	}
	if x, y := a.server.Cluster().ID(), b.server.Cluster().ID(); x == y {
		t.Fatalf("both clusters have the id %s", x)
	}
}

// No socket of any kind belongs to a member.
func TestNoPorts(t *testing.T) {
	sockets := func() int {
		n := 0
		fds, _ := filepath.Glob("/proc/self/fd/*")
		for _, fd := range fds {
			if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "socket:") {
				n++
			}
		}
		return n
	}
	before := sockets()
	start(t, Config{})
	if after := sockets(); after != before {
		t.Fatalf("%d sockets, %d before", after, before)
	}
}

func TestOneProcessForOneDirectory(t *testing.T) {
	dir := t.TempDir()
	start(t, Config{DataDir: dir})
	if _, err := open(t, Config{DataDir: dir}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Fatalf("a second member in the same directory: %v", err)
	}
}

func TestUnusableDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below"), "/proc/warren"} {
		if _, err := open(t, Config{DataDir: dir}); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if _, err := open(t, Config{DataDir: t.TempDir(), MinFree: 1 << 60}); err != nil {
		t.Errorf("too little space for commits must not keep a member from starting: %v", err)
	}
}

// A damaged log is an error that names the cause, and not the end of the process.
func TestDamagedLog(t *testing.T) {
	dir := t.TempDir()
	q := start(t, Config{DataDir: dir})
	for i := range 50 {
		commit(t, q.Store(), store.CreateOp(service(fmt.Sprintf("s%d", i))))
	}
	q.Close()
	logs, err := filepath.Glob(filepath.Join(dir, "member", "wal", "*.wal"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no log in %s: %v", dir, err)
	}
	data, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	copy(data[5000:], "rust never sleeps")
	if err := os.WriteFile(logs[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err = open(t, Config{DataDir: dir}); err == nil || !strings.Contains(err.Error(), "crc mismatch") {
			t.Fatalf("start with a damaged log: %v", err)
		}
	}
}

// While the disk is nearly full commits are refused; they work again without anybody's help.
func TestNearlyFullDisk(t *testing.T) {
	q := start(t, Config{})
	q.config.MinFree = 1 << 60
	_, err := q.Store().Commit(t.Context(), store.CreateOp(service("web")))
	if !errors.Is(err, store.ErrNoSpace) {
		t.Fatalf("commit: %v", err)
	}
	if h := q.Health(); !errors.Is(h.Err, store.ErrNoSpace) || len(h.Warnings) == 0 {
		t.Fatalf("health %+v", h)
	}
	q.config.MinFree = defaultMinFree
	commit(t, q.Store(), store.CreateOp(service("web")))
	if h := q.Health(); h.Err != nil || !h.Leader {
		t.Fatalf("health %+v", h)
	}
}

// History is compacted by count: never while nothing is written.
func TestHistoryIsBounded(t *testing.T) {
	q := start(t, Config{History: 100})
	begin := q.server.KV().FirstRev()
	for i := range 150 {
		commit(t, q.Store(), store.Op{Verb: store.Put, Key: service("web").Key(), Object: service("web"), Guard: store.Any})
		if i == 50 {
			q.tidyOnce(t.Context())
		}
	}
	if got := q.server.KV().FirstRev(); got != begin {
		t.Fatalf("compacted to %d although little was written", got)
	}
	for range 60 {
		commit(t, q.Store(), store.Op{Verb: store.Put, Key: service("web").Key(), Object: service("web"), Guard: store.Any})
	}
	if err := q.tidyOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, rev := q.server.KV().FirstRev(), q.server.KV().Rev()
	if rev-first != 100 {
		t.Fatalf("history is %d to %d, want 100 revisions", first, rev)
	}
	index := q.server.AppliedIndex()
	for range 3 {
		if err := q.tidyOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if now := q.server.AppliedIndex(); now != index {
		t.Fatalf("tidying an idle store wrote %d entries", now-index)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if b := <-q.Store().Watch(ctx, 1); b.Err != store.ErrCompacted {
		t.Fatalf("batch %+v", b)
	}
}

// A database at its limit refuses writes, still deletes, and recovers by itself after that.
func TestQuota(t *testing.T) {
	q := start(t, Config{Quota: 16 << 20})
	big := func(i int) *v1.Service {
		s := service(fmt.Sprintf("big-%d", i))
		s.Meta().Annotations = map[string]string{"x": strings.Repeat("x", 200<<10)}
		return s
	}
	n, warned := 0, false
	for ; ; n++ {
		if _, err := q.Store().Commit(t.Context(), store.CreateOp(big(n))); errors.Is(err, store.ErrNoSpace) {
			break
		} else if err != nil || n > 200 {
			t.Fatalf("commit %d: %v", n, err)
		}
		q.server.Backend().ForceCommit()
		h := q.Health()
		warned = warned || len(h.Warnings) > 0 && h.Err == nil
	}
	if h := q.Health(); !warned || !errors.Is(h.Err, store.ErrNoSpace) {
		t.Fatalf("warned %v, health %+v", warned, h)
	}
	if err := q.tidyOnce(t.Context()); !errors.Is(err, store.ErrNoSpace) {
		t.Fatalf("making room without room: %v", err)
	}
	for i := range n {
		commit(t, q.Store(), store.Op{Verb: store.Delete, Key: big(i).Key(), Guard: store.Any})
	}
	if err := q.tidyOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	commit(t, q.Store(), store.CreateOp(big(0)))
	if h := q.Health(); h.Err != nil || len(h.Warnings) > 0 || h.Size > 8<<20 {
		t.Fatalf("after making room: %+v", h)
	}
}
