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

// TestExpiredCertificate: it lets nobody in.
func TestExpiredCertificate(t *testing.T) {
	c := newCluster(t, nil)
	past, err := identity.OpenDesk(c.dir, c.members.mem, func() time.Time { return time.Now().Add(-100 * 24 * time.Hour) })
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
	_, err = c.as(t, c.keys.TLS()).Get(t.Context(), meta.Key{Kind: "Node", Name: "w1"})
	if !errors.Is(err, grpcstore.ErrKeys) { // the reason may be lost when it hangs up
		t.Errorf("an expired certificate: %v", err)
	}
}
