package etcdstore_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/config"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.etcd.io/etcd/server/v3/features"
	"go.uber.org/zap"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/etcdstore"
	"warren.io/warren/runtime/store/storetest"
)

// etcd starts a server without ports.
func etcd(t *testing.T) *clientv3.Client {
	t.Helper()
	here, err := types.NewURLs([]string{"http://127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	server, err := etcdserver.NewServer(config.ServerConfig{
		Name: "test", DataDir: t.TempDir(), PeerURLs: here, Logger: zap.NewNop(),
		NewCluster: true, InitialClusterToken: "test", InitialPeerURLsMap: types.URLsMap{"test": here},
		TickMs: 10, ElectionTicks: 10, MaxTxnOps: 400, MaxRequestBytes: 8 << 20, SnapshotCount: 1000,
		ServerFeatureGate: features.NewDefaultServerFeatureGate("test", zap.NewNop()),
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Start()
	t.Cleanup(server.Stop)
	<-server.ReadyNotify()
	client := v3client.New(server)
	t.Cleanup(func() { client.Close() })
	return client
}

// compacting adds what the suite needs to test lost history.
type compacting struct {
	*etcdstore.Store
	client *clientv3.Client
}

func (c compacting) Compact() {
	resp, err := c.client.Get(context.Background(), "x")
	if err == nil {
		_, err = c.client.Compact(context.Background(), resp.Header.Revision)
	}
	if err != nil {
		panic(err)
	}
}

func TestConformance(t *testing.T) {
	client := etcd(t)
	storetest.Run(t, func(t *testing.T) store.Store {
		if _, err := client.Delete(t.Context(), etcdstore.Root, clientv3.WithPrefix()); err != nil {
			t.Fatal(err)
		}
		return compacting{etcdstore.New(client, v1.Kinds, etcdstore.Options{}), client}
	})
}

func service(name string) *v1.Service {
	s := meta.New[v1.Service](name)
	s.Spec.Image = "hello:1"
	return s
}

func commit(t *testing.T, s store.Store, ops ...store.Op) store.Revision {
	t.Helper()
	rev, err := s.Commit(t.Context(), ops...)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func put(t *testing.T, client *clientv3.Client, key, value string) store.Revision {
	t.Helper()
	resp, err := client.Put(t.Context(), key, value)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Header.Revision
}

// complaints collects what was reported as unreadable.
type complaints struct {
	sync.Mutex
	keys []string
}

func (c *complaints) add(key string, _ error) {
	c.Lock()
	defer c.Unlock()
	c.keys = append(c.keys, key)
}

func (c *complaints) sorted() []string {
	c.Lock()
	defer c.Unlock()
	return slices.Sorted(slices.Values(c.keys))
}

// bad values of known kinds: cut off, of another type, of another name.
var bad = map[string]string{
	"Service/cut":   `{"apiVersion":"warren.io/v1","kind":"Service","metadata":{"name":"cut"},"spec":{"ima`,
	"Service/typed": `{"apiVersion":"warren.io/v1","kind":"Service","metadata":{"name":"typed"},"spec":{"replicas":{"min":1}}}`,
	"Service/moved": `{"apiVersion":"warren.io/v1","kind":"Service","metadata":{"name":"elsewhere"}}`,
}

func TestUnreadableObjectsInList(t *testing.T) {
	client := etcd(t)
	var told complaints
	s := etcdstore.New(client, v1.Kinds, etcdstore.Options{Unreadable: told.add, Expendable: []string{"Event"}})
	rev := commit(t, s, store.CreateOp(service("web")), store.CreateOp(meta.New[v1.Node]("n1")))
	put(t, client, "/warren/v1/Widget/new", `{"kind":"Widget"}`)
	put(t, client, "/warren/v1/Event/broken", `]`)
	put(t, client, "/warren/v1/strange", `{}`)
	if all, _, err := s.List(t.Context()); err != nil || len(all) != 2 {
		t.Fatalf("with an unknown kind and an expendable one: %d objects, %v", len(all), err)
	}
	for name, value := range bad {
		put(t, client, "/warren/v1/"+name, value)
	}
	for range 2 { // the second list must not report again
		all, _, err := s.List(t.Context())
		var u *etcdstore.UnreadableError
		if !errors.As(err, &u) || len(u.Keys) != len(bad) || len(all) != 2 || all[1].Meta().Revision != rev {
			t.Fatalf("%d objects, error %v", len(all), err)
		}
		for name := range bad {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("the error does not name %s: %v", name, err)
			}
		}
	}
	want := []string{"/warren/v1/Event/broken", "/warren/v1/Service/cut", "/warren/v1/Service/moved",
		"/warren/v1/Service/typed", "/warren/v1/Widget/new", "/warren/v1/strange"}
	if got := told.sorted(); !slices.Equal(got, want) {
		t.Fatalf("reported %v, want %v", got, want)
	}
	for name := range bad {
		_, name, _ := strings.Cut(name, "/")
		key := meta.Key{Kind: "Service", Name: name}
		if _, err := s.Get(t.Context(), key); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Fatalf("get %s: %v; it must not look as if it were gone", key, err)
		}
		commit(t, s, store.Op{Verb: store.Delete, Key: key, Guard: store.Any})
	}
	if _, _, err := s.List(t.Context()); err != nil {
		t.Fatalf("after deleting them: %v", err)
	}
}

// A reader keeps the last version that it could read; everything else in the same commit arrives.
// What is passed on unread: broken objects of kinds that are expendable, and unknown kinds, are left out; the value of another
// form is brought into the usual one; all else is for the reader.
func TestPackOfStrangeObjects(t *testing.T) {
	client := etcd(t)
	s := etcdstore.New(client, v1.Kinds, etcdstore.Options{Expendable: []string{"Event"}})
	put(t, client, "/warren/v1/Widget/new", `{"kind":"Widget"}`)
	put(t, client, "/warren/v1/Event/broken", `]`)
	put(t, client, "/warren/v1/strange", `{}`)
	put(t, client, "/warren/v1/Service/cut", `{"apiVersion":"warren.io/v1","kind":"Service","metadata":{"name":"cut`)
	rev := put(t, client, "/warren/v1/Service/spaced", `{"kind": "Service", "metadata": {"name": "spaced"}}`)
	all, at, err := s.Pack(t.Context())
	if err != nil || at != rev || len(all) != 2 || all[0].Key.Name != "cut" {
		t.Fatalf("%v at %d, want %d: %v", all, at, rev, err)
	}
	if o, err := v1.Kinds.Decode(all[1].JSON); err != nil || o.Meta().Name != "spaced" || o.Meta().Revision != rev {
		t.Errorf("%s: %v", all[1].JSON, err)
	}
	put(t, client, "/warren/v1/Service/other", `{}`)
	var u *etcdstore.UnreadableError
	if _, _, err := s.Pack(t.Context(), "Service"); !errors.As(err, &u) {
		t.Errorf("a value that is no service: %v", err)
	}
}

func TestUnreadableObjectsInWatch(t *testing.T) {
	client := etcd(t)
	var told complaints
	s := etcdstore.New(client, v1.Kinds, etcdstore.Options{Unreadable: told.add})
	rev := commit(t, s, store.CreateOp(service("web")))
	w := s.Watch(t.Context(), rev)
	_, err := client.Txn(t.Context()).Then(
		clientv3.OpPut("/warren/v1/Service/web", bad["Service/cut"]),
		clientv3.OpPut("/warren/v1/Node/n1", `{"apiVersion":"warren.io/v1","kind":"Node","metadata":{"name":"n1"}}`),
		clientv3.OpPut("/warren/v1/Widget/w", `{"kind":"Widget"}`),
	).Commit()
	if err != nil {
		t.Fatal(err)
	}
	b := <-w
	if b.Err != nil || len(b.Changes) != 1 || b.Changes[0].Key.Kind != "Node" {
		t.Fatalf("batch %+v", b)
	}
	old := service("web")
	old.Meta().Revision = rev
	if _, err := s.Commit(t.Context(), store.UpdateOp(old)); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("a write over an unreadable version: %v", err)
	}
	healed := commit(t, s, store.Op{Verb: store.Put, Key: old.Key(), Object: old, Guard: store.Any})
	if b := <-w; b.Revision != healed || len(b.Changes) != 1 || b.Changes[0].Key != old.Key() {
		t.Fatalf("batch %+v", b)
	}
	if got := told.sorted(); len(got) != 2 {
		t.Fatalf("reported %v", got)
	}
}

func TestFence(t *testing.T) {
	client := etcd(t)
	plain := etcdstore.New(client, v1.Kinds, etcdstore.Options{})
	won := put(t, client, "/warren/lead", "a")
	first := plain.Fenced("/warren/lead", won)
	w := plain.Watch(t.Context(), won)
	rev := commit(t, first, store.CreateOp(service("web")))
	var c *store.ConflictError
	if _, err := first.Commit(t.Context(), store.CreateOp(service("web"))); !errors.As(err, &c) || c.Key.Name != "web" || c.Have != rev {
		t.Fatalf("a conflict behind an intact fence: %v", err)
	}
	lost := put(t, client, "/warren/lead", "b")
	for _, ops := range [][]store.Op{
		{store.CreateOp(service("api"))},
		{store.CreateOp(service("web"))},
		{{Verb: store.Check, Key: service("web").Key(), Guard: rev}},
		nil,
	} {
		if _, err := first.Commit(t.Context(), ops...); !errors.Is(err, store.ErrFenced) {
			t.Fatalf("commit of %d behind a lost fence: %v", len(ops), err)
		}
	}
	commit(t, plain.Fenced("/warren/lead", lost), store.CreateOp(service("api")))
	if b := <-w; b.Revision != rev || len(b.Changes) != 1 {
		t.Fatalf("batch %+v", b)
	}
	if b := <-w; b.Revision != lost || len(b.Changes) != 0 {
		t.Fatalf("batch %+v; a change of leader is a revision without changes", b)
	}
}

func TestRefusals(t *testing.T) {
	client := etcd(t)
	full := errors.New("the disk is full")
	s := etcdstore.New(client, v1.Kinds, etcdstore.Options{Gate: func() error { return full }})
	if _, err := s.Commit(t.Context(), store.CreateOp(service("web"))); !errors.Is(err, full) {
		t.Fatalf("behind a closed gate: %v", err)
	}
	s = etcdstore.New(client, v1.Kinds, etcdstore.Options{})
	twice := []store.Op{store.CreateOp(service("web")), {Verb: store.Delete, Key: service("web").Key(), Guard: store.Any}}
	if _, err := s.Commit(t.Context(), twice...); err == nil || !strings.Contains(err.Error(), "Service/web") {
		t.Fatalf("the same key written twice: %v", err)
	}
	var heavy []store.Op
	for i := range 60 {
		o := service("heavy" + strings.Repeat("y", i))
		o.Meta().Annotations = map[string]string{"x": strings.Repeat("x", 200<<10)}
		heavy = append(heavy, store.CreateOp(o))
	}
	if _, err := s.Commit(t.Context(), heavy...); !errors.Is(err, store.ErrTooLarge) {
		t.Fatalf("a commit of 12 MB: %v", err)
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	if _, err := s.Commit(ctx, store.CreateOp(service("web"))); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrUnknown) {
		t.Fatalf("with an ended context nothing is sent, so nothing is unknown: %v", err)
	}
}

// A store that is older than its reader was restored; the reader must list again and not wait for ever.
func TestWatchOfAnOlderStore(t *testing.T) {
	s := etcdstore.New(etcd(t), v1.Kinds, etcdstore.Options{})
	if b := <-s.Watch(t.Context(), 1000); b.Err != store.ErrCompacted {
		t.Fatalf("batch %+v", b)
	}
}

// What etcd knows better is not in the value: a copy of it could only be wrong.
func TestValueHasNoRevision(t *testing.T) {
	client := etcd(t)
	s := etcdstore.New(client, v1.Kinds, etcdstore.Options{})
	commit(t, s, store.CreateOp(service("web")))
	o, err := s.Get(t.Context(), service("web").Key())
	if err != nil {
		t.Fatal(err)
	}
	commit(t, s, store.UpdateOp(o))
	resp, err := client.Get(t.Context(), "/warren/v1/Service/web")
	if err != nil || len(resp.Kvs) != 1 {
		t.Fatalf("%v, %v", resp, err)
	}
	if v := string(resp.Kvs[0].Value); strings.Contains(v, "revision") || strings.Contains(v, "uid") {
		t.Fatalf("value %s", v)
	}
}
