package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/server/api"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

// upTo reads a watch until a revision and returns what it said of each object, last word last.
func upTo(t *testing.T, w <-chan store.Batch, rev store.Revision) (words []string) {
	t.Helper()
	end := time.After(soon)
	for {
		select {
		case b, ok := <-w:
			if !ok || b.Err != nil {
				t.Fatalf("the watch ended: %v", b.Err)
			}
			for _, c := range b.Changes {
				sign := "+"
				if c.Object == nil {
					sign = "-"
				}
				words = append(words, sign+c.Key.String())
			}
			if b.Revision >= rev {
				return words
			}
		case <-end:
			t.Fatalf("revision %d does not come", rev)
		}
	}
}

func TestFilteredListAndWatch(t *testing.T) {
	f := serve(t, nil)
	s := f.dial(t)
	web, db := aService("web"), aService("db")
	web.Metadata.Labels = map[string]string{"tier": "front"}
	start := commit(t, f.store, put(web), put(db), put(aTask("web", "")))
	views := map[*grpcstore.Store]string{
		s.Only("Task"):            "[Task/web] [+Task/web-2 -Task/web]",
		s.Only("Service", "Task"): "[Service/db Service/web Task/web] [+Task/web-2 +Service/web +Service/db -Task/web]",
		s.Filter(grpcstore.Filter{Kinds: []string{"Service"}, Name: "db"}):        "[Service/db] [+Service/db]",
		s.Filter(grpcstore.Filter{Kinds: []string{"Service"}, Labels: "tier"}):    "[Service/web] [-Service/web +Service/db]",
		s.Filter(grpcstore.Filter{Kinds: []string{"Service"}, Labels: "tier!=x"}): "[Service/db Service/web] [+Service/web +Service/db]",
		s.Only("Node"): "[] []",
		s.Filter(grpcstore.Filter{Kinds: []string{"Service"}, Labels: "tier in back"}): "",
	}
	watches := map[*grpcstore.Store]<-chan store.Batch{}
	for v := range views {
		watches[v] = v.Watch(t.Context(), start)
	}
	lists := map[*grpcstore.Store][]meta.Key{}
	for v, want := range views {
		all, rev, err := v.List(t.Context())
		if want == "" {
			if !errors.Is(err, grpcstore.ErrInvalid) {
				t.Errorf("a bad selector: %v", err)
			}
			if b := <-watches[v]; !errors.Is(b.Err, grpcstore.ErrInvalid) {
				t.Errorf("a bad selector in a watch: %v", b.Err)
			}
			delete(views, v)
			continue
		}
		if err != nil || rev != start {
			t.Fatalf("list at %d: %v", rev, err)
		}
		for _, o := range all {
			lists[v] = append(lists[v], o.Key())
		}
	}
	plain := aService("web") // its label is gone: for those who look for it, so is the service
	front := aService("db")
	front.Metadata.Labels = map[string]string{"tier": "front"}
	commit(t, f.store, put(aTask("web-2", "")))
	commit(t, f.store, put(plain))
	commit(t, f.store, put(plain))
	commit(t, f.store, put(front))
	last := commit(t, f.store, store.Op{Verb: store.Delete, Key: aTask("web", "").Key(), Guard: store.Any})
	for v, want := range views {
		got := fmt.Sprint(lists[v], " ", dedupe(upTo(t, watches[v], last)))
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func dedupe(words []string) []string {
	out := []string{}
	for i, w := range words {
		if i == 0 || words[i-1] != w {
			out = append(out, w)
		}
	}
	return out
}

// TestGoneIsToldOnce: what never matches costs a watcher one message for each object, not one for each change.
func TestGoneIsToldOnce(t *testing.T) {
	f, err := newFilter(&api.Filter{Labels: "app=web"})
	if err != nil {
		t.Fatal(err)
	}
	c, out, in := f.changes(), aTask("x", ""), aTask("x", "")
	in.Metadata.Labels = map[string]string{"app": "web"}
	key := out.Key()
	steps := []struct {
		object meta.Object
		want   string
	}{
		{out, "[{Task/x <nil>}]"}, {out, "[]"}, {in, "in"}, {in, "in"}, {out, "[{Task/x <nil>}]"}, {out, "[]"}, {nil, "[]"}, {nil, "[{Task/x <nil>}]"},
	}
	for i, x := range steps {
		got := c.pass([]store.Change{{Key: key, Object: x.object}})
		if x.want == "in" && len(got) == 1 && got[0].Object == x.object {
			continue
		}
		if fmt.Sprint(got) != x.want {
			t.Errorf("step %d: %v, want %s", i, got, x.want)
		}
	}
	if len(c.out) != 0 {
		t.Error("a deleted object is remembered")
	}
}

// TestSlowWatcherIsCutOff: one reader that is stuck holds up nobody, keeps little in memory and is told to list again.
func TestSlowWatcherIsCutOff(t *testing.T) {
	var cutOff atomic.Int64
	f := serve(t, func(c *Config) {
		c.Log = funcr.New(func(_, args string) { cutOff.Add(1) }, funcr.Options{})
	})
	f.patience = time.Second
	idle := f.dial(t).Watch(t.Context(), 1) // takes nothing until the end
	stuck, err := api.NewWarrenClient(f.raw(t)).Watch(t.Context(), &api.WatchRequest{After: 1})
	if err != nil {
		t.Fatal(err)
	}
	good := f.dial(t).Watch(t.Context(), 1)
	go func() {
		for i := range 60 {
			_, _ = f.store.Commit(t.Context(), put(aTask(fmt.Sprintf("t%d", i), strings.Repeat("x", 100<<10))))
		}
	}()
	begin := time.Now()
	if got := len(upTo(t, good, 61)); got != 60 {
		t.Fatalf("%d changes", got)
	}
	t.Logf("60 changes of 100 KiB in %v beside two that are stuck", time.Since(begin))
	eventually(t, "the stuck ones are cut off", func() bool { return cutOff.Load() == 2 })
	n := 0
	for ; err == nil; n++ {
		_, err = stuck.Recv()
	}
	if back, ours := api.FromStatus(err); !ours || !errors.Is(back, store.ErrCompacted) || !strings.Contains(back.Error(), "did not keep up") {
		t.Fatalf("after %d messages: %v", n, err)
	}
	if n > 2*watchQueue {
		t.Fatalf("%d messages were kept for it", n)
	}
	for b := range idle {
		if err = b.Err; err != nil && !errors.Is(err, store.ErrCompacted) {
			t.Fatal(err)
		}
	}
	if err == nil {
		t.Fatal("no error at the end")
	}
}

func TestSlowHTTPWatcherIsCutOff(t *testing.T) {
	leaks(t)
	var cutOff atomic.Int64
	f := serve(t, func(c *Config) {
		c.Log = funcr.New(func(_, args string) { cutOff.Add(1) }, funcr.Options{})
	})
	f.patience = 200 * time.Millisecond
	c, err := net.Dial("unix", f.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /v1/tasks?watch=1&after=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	in := bufio.NewReader(c)
	for line := ""; line != "{\"revision\":1}\n"; {
		if line, err = in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		commit(t, f.store, put(aTask(fmt.Sprintf("t%d", i), strings.Repeat("x", 100<<10))))
	}
	eventually(t, "the stuck one is cut off", func() bool { return cutOff.Load() == 1 })
	_ = c.SetReadDeadline(time.Now().Add(soon))
	rest, err := io.ReadAll(in)
	if err != nil {
		t.Fatalf("the connection was not closed: %v", err)
	}
	if len(rest) > 8<<20 {
		t.Fatalf("%d bytes came all the same", len(rest))
	}
}

// TestBigCommitTravelsInParts: one commit that no message could hold arrives as one batch.
func TestBigCommitTravelsInParts(t *testing.T) {
	f := serve(t, nil)
	w := f.dial(t).Watch(t.Context(), 1)
	var ops []store.Op
	for i := range store.MaxOps {
		ops = append(ops, put(aTask(fmt.Sprintf("t%03d", i), strings.Repeat("x", 200<<10))))
	}
	rev := commit(t, f.store, ops...)
	if b := <-w; b.Err != nil || b.Revision != rev || len(b.Changes) != store.MaxOps {
		t.Fatalf("batch %d with %d changes, %v", b.Revision, len(b.Changes), b.Err)
	}
	all, at, err := f.dial(t).List(t.Context())
	if err != nil || at != rev || len(all) != store.MaxOps {
		t.Fatalf("%d objects at %d, %v", len(all), at, err)
	}
	_, err = f.dial(t).Commit(t.Context(), ops...)
	if !errors.Is(err, store.ErrTooLarge) || errors.Is(err, store.ErrUnknown) {
		t.Fatalf("a commit of 20 MiB: %v", err)
	}
}
