package server

import (
	"crypto/rand"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/identity"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

// TestGarbage: whatever comes to the port, those who have keys are served.
func TestGarbage(t *testing.T) {
	c := newCluster(t, nil)
	megabyte := make([]byte, 1<<20)
	_, _ = rand.Read(megabyte)
	for what, text := range map[string][]byte{"garbage": megabyte, "plain HTTP": []byte("GET /v1/nodes HTTP/1.1\r\nHost: x\r\n\r\n"), "plain HTTP/2": []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")} {
		conn, err := net.Dial("tcp", c.address)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(soon))
		_, _ = conn.Write(text) // it may hang up meanwhile
		answer, _ := io.ReadAll(conn)
		_ = conn.Close()
		if strings.Contains(string(answer), "200 OK") || strings.Contains(string(answer), "w1") {
			t.Errorf("%s is answered with %q", what, answer)
		}
	}
	var open []net.Conn // and say nothing
	for range 1000 {
		conn, err := net.Dial("tcp", c.address)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	if _, err := c.worker.Get(t.Context(), meta.Key{Kind: "Node", Name: "w1"}); err != nil {
		t.Error(err)
	}
	for _, conn := range open {
		_ = conn.Close()
	}
}

// TestJoiningIsBounded: without a certificate nobody makes the node hold much.
func TestJoiningIsBounded(t *testing.T) {
	c := newCluster(t, nil)
	s := c.as(t, c.nobody(t))
	_, err := s.Join(t.Context(), grpcstore.Joining{Token: c.token, Name: "x", CSR: make([]byte, 1<<20)})
	if !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("a request of a megabyte: %v", err)
	}
	if _, err := s.Join(t.Context(), grpcstore.Joining{Token: "x", Name: "x"}); !errors.Is(err, store.ErrForbidden) {
		t.Errorf("no token: %v", err)
	}
}

// TestExpiredCertificate: it is good for one thing, to renew it, if its node is one, and for nothing if the node was removed.
func TestExpiredCertificate(t *testing.T) {
	c := newCluster(t, nil)
	long := c.worker // came before it ran out
	past, err := identity.OpenDesk(c.dir, c.members.mem, func() time.Time { return time.Now().Add(-90*24*time.Hour - time.Hour) })
	if err != nil {
		t.Fatal(err)
	}
	csr, err := c.keys.Request()
	if err != nil {
		t.Fatal(err)
	}
	old, _, err := past.Renew(t.Context(), "w1", csr)
	if err == nil {
		err = c.keys.Renewed(old)
	}
	if err != nil {
		t.Fatal(err)
	}
	own := meta.Key{Kind: "Node", Name: "w1"}
	late := c.as(t, c.keys.TLS())
	for what, call := range calls(t.Context(), late) {
		if err := call(); what != "Renew" && what != "Reach" && !errors.Is(err, store.ErrForbidden) || err == nil {
			t.Errorf("%s with an expired certificate: %v", what, err)
		}
	}
	if _, err := late.Get(t.Context(), own); err == nil || !strings.Contains(err.Error(), "it can only be renewed") {
		t.Errorf("an expired certificate: %v", err)
	}
	stranger, err := identity.Apply("w1", "")
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := stranger.Request()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := late.Renew(t.Context(), foreign); !errors.Is(err, store.ErrForbidden) {
		t.Errorf("renewed for another key: %v", err)
	}
	cert, err := late.Renew(t.Context(), csr)
	if err == nil {
		err = c.keys.Renewed(cert.Certificate)
	}
	if err != nil {
		t.Fatalf("it is not renewed: %v", err)
	}
	if _, err := c.as(t, c.keys.TLS()).Get(t.Context(), own); err != nil {
		t.Errorf("after it was renewed: %v", err)
	}
	if _, err := long.Get(t.Context(), own); err != nil {
		t.Errorf("a connection whose certificate is good: %v", err)
	}
	o, err := c.members.mem.Get(t.Context(), own)
	if err != nil {
		t.Fatal(err)
	}
	commit(t, c.members.mem, store.DeleteOp(o))
	if _, err := c.as(t, c.keys.TLS()).Renew(t.Context(), csr); !errors.Is(err, store.ErrForbidden) {
		t.Errorf("a removed node renews: %v", err)
	}
}
