package server

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/identity"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

// TestRemovedNode: its certificate is good for 90 days, and opens nothing from the moment on at which its Node is gone: what is open
// ends, what comes is refused. It may still see that nothing is its own.
func TestRemovedNode(t *testing.T) {
	c := newCluster(t, nil)
	beats := make(chan error, 1)
	answered := make(chan bool, 100)
	go func() { beats <- c.worker.Heartbeat(t.Context(), each(time.Hour), nil, func() { answered <- true }) }()
	<-answered
	own := meta.Key{Kind: "Node", Name: "w1"}
	o, err := c.members.mem.Get(t.Context(), own)
	if err != nil {
		t.Fatal(err)
	}
	watch := c.worker.Watch(t.Context(), o.Meta().Revision)
	commit(t, c.members.mem, store.DeleteOp(o))
	if err := <-beats; err == nil {
		t.Error("the heartbeat goes on")
	}
	for b := range watch {
		err = b.Err
	}
	if err == nil {
		t.Error("the watch ended without a cause")
	}
	c.dismissed(t, c.worker)
}

// dismissed demands that a worker can do nothing but see that nothing is there.
func (c *cluster) dismissed(t *testing.T, worker *grpcstore.Store) {
	t.Helper()
	for what, call := range calls(t.Context(), worker) {
		if !forAWorker[what] || what == "List" || what == "Watch" {
			continue
		}
		if err := call(); !errors.Is(err, store.ErrForbidden) && what != "Reach" || err == nil || what == "Get" && !strings.Contains(err.Error(), "warren reset there") {
			t.Errorf("%s: %v", what, err)
		}
	}
	all, rev, err := worker.List(t.Context())
	if err != nil || len(all) != 0 {
		t.Errorf("it sees %d objects, %v", len(all), err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	watch := worker.Watch(ctx, rev)
	commit(t, c.members.mem, put(aService("seen")))
	if b := <-watch; b.Err != nil || len(b.Changes) != 0 {
		t.Errorf("it is told of %+v", b)
	}
}

// TestNameGivenToAnother: of two machines that were called the same, one after the other, only the later one is the node.
func TestNameGivenToAnother(t *testing.T) {
	c := newCluster(t, nil)
	first := c.worker
	c.first = c.keys
	o, err := c.members.mem.Get(t.Context(), meta.Key{Kind: "Node", Name: "w1"})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, c.members.mem, store.DeleteOp(o))
	c.joins(t)
	if _, err := c.worker.Get(t.Context(), meta.Key{Kind: "Node", Name: "w1"}); err != nil {
		t.Errorf("the new one: %v", err)
	}
	c.dismissed(t, first)
	c.impostors(t)
	if _, err := c.worker.Get(t.Context(), meta.Key{Kind: "Node", Name: "w1"}); err != nil {
		t.Errorf("the new one after the old one tried: %v", err)
	}
}

// impostors: what keeps the store asks memory only, which knows the newer key in a moment.
func (c *cluster) impostors(t *testing.T) {
	t.Helper()
	eventually(t, "the key of the new one is known", func() bool {
		return c.members.Impostor(c.shows(t, c.first)) && !c.members.Impostor(c.shows(t, c.keys))
	})
}

// shows is the certificate that a node shows.
func (c *cluster) shows(t *testing.T, n *identity.Node) *x509.Certificate {
	t.Helper()
	shown, err := n.TLS().GetClientCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(shown.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// TestConnectionsAreForgotten: those that have ended are not kept.
func TestConnectionsAreForgotten(t *testing.T) {
	c := newCluster(t, nil)
	if _, err := c.worker.Get(t.Context(), meta.Key{Kind: "Node", Name: "w1"}); err != nil {
		t.Fatal(err)
	}
	known := func() int {
		c.split.mu.Lock()
		defer c.split.mu.Unlock()
		return len(c.split.known)
	}
	if n := known(); n != 1 {
		t.Errorf("%d connections are known", n)
	}
	if n := c.Expel("w2", func(*x509.Certificate) bool { return false }); n != 0 {
		t.Errorf("%d connections of another node ended", n)
	}
	_ = c.worker.Close()
	eventually(t, "the connection is forgotten", func() bool { return known() == 0 })
}

// BenchmarkStanding is what each call of a node costs more.
func BenchmarkStanding(b *testing.B) {
	n := meta.New[v1.Node]("w1")
	cert := &x509.Certificate{RawSubjectPublicKeyInfo: make([]byte, 91)}
	cert.Subject.CommonName = "w1"
	n.Status.Identity = identity.KeyOf(cert)
	s := serve(b, nil).store
	if _, err := s.Commit(b.Context(), store.CreateOp(n)); err != nil {
		b.Fatal(err)
	}
	r := &identity.Roster{}
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan bool)
	go func() { defer close(ended); r.Follow(ctx, s) }()
	defer func() { stop(); <-ended }()
	for b.Loop() {
		if known, err := r.Knows(ctx, cert, s); err != nil || !known {
			b.Fatal(known, err)
		}
	}
}
