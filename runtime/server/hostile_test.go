package server

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"google.golang.org/grpc/metadata"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/identity"
	"warren.io/warren/runtime/server/api"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

// impatient lets the server wait a second where it would wait ten.
func impatient(t *testing.T) {
	was := helloWithin
	helloWithin = time.Second
	t.Cleanup(func() { helloWithin = was })
}

// besieged is a cluster that hostile people come to, with a viewer and an operator who go on with their work.
type besieged struct {
	*cluster
	viewer, operator person
	metrics          string

	mu    sync.Mutex
	lines []string
}

func besiege(t *testing.T) *besieged {
	t.Helper()
	b := &besieged{}
	b.cluster = newCluster(t, func(cfg *Config) {
		cfg.Log = funcr.New(func(_, args string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.lines = append(b.lines, args)
		}, funcr.Options{})
	})
	b.viewer, b.operator = b.login(t, v1.RoleViewer, "vera"), b.login(t, v1.RoleOperator, "otto")
	health := httptest.NewServer(b.HealthHandler())
	t.Cleanup(health.Close)
	b.metrics = health.Listener.Addr().String()
	return b
}

// works demands that those who may are served, by each way there is.
func (b *besieged) works(t *testing.T, when string) {
	t.Helper()
	for who, s := range map[string]*grpcstore.Store{"viewer": b.viewer.Store, "worker": b.worker, "local": b.dial(t)} {
		if _, err := s.Get(t.Context(), meta.Key{Kind: "Node", Name: "w1"}); err != nil {
			t.Errorf("%s: the %s is not served: %v", when, who, err)
		}
	}
	r, err := http.Get("http://" + b.metrics + "/healthz")
	if err != nil {
		t.Errorf("%s: health: %v", when, err)
		return
	}
	_ = r.Body.Close()
}

// says sends a text to a place, reads what comes until it hangs up or a second is over, and returns that.
func says(t *testing.T, conn net.Conn, text []byte) string {
	t.Helper()
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(soon))
	_, _ = conn.Write(text) // it may hang up meanwhile
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	answer, _ := io.ReadAll(io.LimitReader(conn, 1<<20))
	return string(answer)
}

func (b *besieged) plain(t *testing.T, network, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func (b *besieged) secret(t *testing.T, c *tls.Config) net.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", b.address, c)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestHostileBytes: whatever comes to whichever port from whomever, it gets nothing, the log says so once, and the others are
// served before, meanwhile and after.
func TestHostileBytes(t *testing.T) {
	b := besiege(t)
	megabyte := make([]byte, 1<<20)
	_, _ = rand.Read(megabyte)
	header := []byte("GET /v1/nodes HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n")
	raft := []byte("POST /raft HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nraft")
	preface := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), megabyte...)
	texts := map[string][]byte{"garbage": megabyte, "a huge header": header, "raft": raft, "broken HTTP/2": preface}
	places := map[string]func() net.Conn{
		"the port in plain text": func() net.Conn { return b.plain(t, "tcp", b.address) },
		"the port as nobody":     func() net.Conn { return b.secret(t, b.nobody(t)) },
		"the port as worker":     func() net.Conn { return b.secret(t, b.keys.TLS()) },
		"the port as viewer":     func() net.Conn { return b.secret(t, b.viewer.keys.TLS()) },
		"the socket":             func() net.Conn { return b.plain(t, "unix", b.socket) },
		"the metrics":            func() net.Conn { return b.plain(t, "tcp", b.metrics) },
	}
	b.works(t, "before")
	var all sync.WaitGroup
	for what, text := range texts {
		for where, dial := range places {
			for range 3 {
				all.Go(func() {
					if answer := says(t, dial(), text); strings.Contains(answer, "200 OK") || strings.Contains(answer, `"kind"`) {
						t.Errorf("%s at %s is answered with %.200q", what, where, answer)
					}
				})
			}
		}
		b.works(t, "while "+what+" comes")
	}
	all.Wait()
	b.works(t, "after")
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.lines) > 8 {
		t.Errorf("the log has %d lines:\n%s", len(b.lines), strings.Join(b.lines, "\n"))
	}
}

// TestHostileCalls: what is too big is refused as that, and the same connection goes on.
func TestHostileCalls(t *testing.T) {
	b := besiege(t)
	s := aService("web")
	s.Spec.Args = []string{strings.Repeat("x", api.MaxMessage+1)}
	for range 3 {
		if _, err := b.operator.Commit(t.Context(), put(s)); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("a huge message: %v", err)
		}
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x", strings.Repeat("x", 1<<20))
		if _, err := b.viewer.Get(ctx, meta.Key{Kind: "Node", Name: "w1"}); err == nil {
			t.Error("a megabyte of headers is read")
		}
		b.works(t, "after huge calls")
	}
}

// TestManyNames: who asks for another thing each time fills no log.
func TestManyNames(t *testing.T) {
	b := besiege(t)
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: b.nobody(t)}, Timeout: soon}
	defer web.CloseIdleConnections()
	for i := range 5 * maxTold {
		r, err := web.Get(fmt.Sprintf("https://%s/v1/nodes/n%d", b.address, i))
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if _, err := b.viewer.Get(t.Context(), meta.Key{Kind: "Token", Name: fmt.Sprint("t", i)}); !errors.Is(err, store.ErrForbidden) {
			t.Fatal(err)
		}
	}
	b.works(t, "after many names")
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.lines) > maxTold+1 || !strings.Contains(b.lines[len(b.lines)-1], "refused many") {
		t.Errorf("the log has %d lines, the last %q", len(b.lines), b.lines[len(b.lines)-1])
	}
}

// TestOldTLS: nothing before 1.3.
func TestOldTLS(t *testing.T) {
	b := besiege(t)
	c := b.viewer.keys.TLS()
	c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if conn, err := tls.Dial("tcp", b.address, c); err == nil {
		_ = conn.Close()
		t.Error("TLS 1.2 is spoken")
	}
	b.works(t, "after TLS 1.2")
}

// TestOfAnotherAuthority: the same names and roles under another authority are worth nothing.
func TestOfAnotherAuthority(t *testing.T) {
	b, other := besiege(t), newCluster(t, nil)
	same := other.login(t, v1.RoleAdmin, "vera")
	admin, err := identity.ClientConfig(other.dir)
	if err != nil {
		t.Fatal(err)
	}
	for who, c := range map[string]*tls.Config{"user": same.keys.TLS(), "worker": other.keys.TLS(), "administrator": admin} {
		c.VerifyConnection, c.RootCAs, c.InsecureSkipVerify = nil, nil, true
		_, err := b.as(t, c).Get(t.Context(), meta.Key{Kind: "Node", Name: "w1"})
		if !errors.Is(err, grpcstore.ErrKeys) {
			t.Errorf("%s of another authority: %v", who, err)
		}
	}
	b.works(t, "after those of another authority")
}

// TestExpiredUser: the reason is said, by the handshake or by the answer.
func TestExpiredUser(t *testing.T) {
	b := besiege(t)
	past, err := identity.OpenDesk(b.dir, b.members.mem, func() time.Time { return time.Now().Add(-100 * 24 * time.Hour) })
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := past.CreateTokenFor(t.Context(), "old", v1.RoleAdmin, time.Hour, 1)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := identity.ParseToken(token)
	if err != nil {
		t.Fatal(err)
	}
	a, err := identity.Apply("old", parsed.Pin)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := a.Request()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = b.as(t, a.TLS()).Login(t.Context(), grpcstore.LoggingIn{}) // refused, but seen the authority
	cert, _, err := past.Login(t.Context(), token, "", csr)
	if err != nil {
		t.Fatal(err)
	}
	papers, err := a.Papers(cert)
	if err != nil {
		t.Fatal(err)
	}
	u, err := papers.Open()
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.as(t, u.TLS()).Info(t.Context())
	if !errors.Is(err, grpcstore.ErrKeys) && !(errors.Is(err, store.ErrForbidden) && strings.Contains(err.Error(), "has expired at")) {
		t.Errorf("an expired certificate: %v", err)
	}
	b.works(t, "after an expired certificate")
}

// TestHalfOpen: thousands who connect and say nothing, or little, are bounded and ended, and others are served meanwhile.
func TestHalfOpen(t *testing.T) {
	impatient(t)
	b := besiege(t)
	conns := make([]net.Conn, 0, 3*maxWaiting)
	for range cap(conns) {
		conn, err := net.Dial("tcp", b.address)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	b.split.mu.Lock()
	waiting := len(b.split.waiting)
	b.split.mu.Unlock()
	if waiting > maxWaiting {
		t.Errorf("%d wait, at most %d should", waiting, maxWaiting)
	}
	b.works(t, "while thousands say nothing")
	if _, err := b.as(t, b.operator.keys.TLS()).Get(t.Context(), meta.Key{Kind: "Node", Name: "w1"}); err != nil {
		t.Errorf("a new connection meanwhile: %v", err)
	}
	slow := b.secret(t, b.viewer.keys.TLS()) // one byte at a time
	dribble := make(chan error, 1)
	go func() {
		_, err := io.WriteString(slow, "GET /healthz HTTP/1.1\r\n")
		for err == nil {
			_, err = io.WriteString(slow, "X")
			time.Sleep(20 * time.Millisecond)
		}
		dribble <- err
	}()
	for _, conn := range conns {
		_ = conn.SetReadDeadline(time.Now().Add(soon))
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
			t.Fatalf("one that says nothing is not ended: %v", err)
		}
		_ = conn.Close()
	}
	select {
	case <-dribble:
	case <-time.After(soon):
		t.Error("one who says one byte at a time is not ended")
	}
	_ = slow.Close()
	b.works(t, "after thousands said nothing")
	eventually(t, "nothing of them is left", func() bool {
		b.split.mu.Lock()
		defer b.split.mu.Unlock()
		return len(b.split.waiting) == 0
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.lines) > 4 {
		t.Errorf("the log has %d lines, the first %q", len(b.lines), b.lines[0])
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// TestStrangersAreBounded: those who have finished a handshake without a certificate are few at a time, and nobody else minds.
func TestStrangersAreBounded(t *testing.T) {
	b := besiege(t)
	var conns []net.Conn
	for range maxStrangers + 20 {
		conn := b.secret(t, b.nobody(t))
		_, _ = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
		conns = append(conns, conn)
	}
	b.works(t, "while many have no certificate")
	eventually(t, "those beyond the bound are refused", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return strings.Contains(fmt.Sprint(b.lines), errCrowd.Error())
	})
	for _, conn := range conns {
		_ = conn.Close()
	}
	eventually(t, "there is room again", func() bool {
		b.split.mu.Lock()
		defer b.split.mu.Unlock()
		return b.split.strangers < maxStrangers
	})
	b.login(t, v1.RoleViewer, "new")
}
