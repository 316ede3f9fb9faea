package main

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"

	v1 "warren.io/warren/apis/v1"
	keys "warren.io/warren/runtime/identity"
	"warren.io/warren/runtime/server"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
	"warren.io/warren/runtime/store/memstore"
)

// boss is a manager: it serves nodes behind a door that can be closed, or stuck.
type boss struct {
	address string
	beats   atomic.Int64
	reached atomic.Int64
	mu      sync.Mutex
	told    []string
	useless error
	stuck   bool
	conns   []net.Conn
	door    net.Listener
	behind  string // where the door leads
	desk    *keys.Desk
}

func (m *boss) CreateToken(context.Context, server.TokenWish) (server.NewToken, error) {
	return server.NewToken{}, store.ErrForbidden
}

func (m *boss) Join(ctx context.Context, j server.Joining) (server.Joined, error) {
	cert, role, err := m.desk.Join(ctx, j.Token, j.Name, j.Address, j.CSR)
	return server.Joined{Certificate: cert, Cluster: "c", Role: string(role)}, err
}

func (m *boss) Renew(context.Context, string, []byte) (server.Renewed, error) {
	return server.Renewed{}, store.ErrForbidden
}

func (m *boss) Place(context.Context, string, server.PlaceWish) (server.Place, error) {
	return server.Place{}, store.ErrForbidden
}

func (m *boss) Standing(context.Context, *x509.Certificate) (server.Standing, error) {
	return server.Good, nil
}

func (m *boss) Impostor(*x509.Certificate) bool { return false }

func (m *boss) Dismissed(string) store.Store { return nil }

func (m *boss) Login(context.Context, server.LoggingIn) (server.LoggedIn, error) {
	return server.LoggedIn{}, store.ErrForbidden
}

func (m *boss) RenewUser(context.Context, string, []byte) ([]byte, error) {
	return nil, store.ErrForbidden
}

func (m *boss) IsManager(string) bool { return false }

func (m *boss) Relayed([]string) error { return nil }

func (m *boss) Managers(context.Context, bool) ([]server.MemberState, error) { return nil, nil }

func (m *boss) Heard(string) { m.beats.Add(1) }

func (m *boss) Addresses() ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.told, m.useless
}

func (m *boss) Reached(ctx context.Context, _ string, c *server.Pipe) error {
	m.reached.Add(1)
	defer m.reached.Add(-1)
	select {
	case <-c.Done():
	case <-ctx.Done():
	}
	return nil
}

func (m *boss) Scope(string) store.Store { return memstore.New() }

func (m *boss) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// managersOf makes managers with one authority, and the keys of a worker of them in a directory.
func managersOf(t *testing.T, dir string, count int) (all []*boss) {
	t.Helper()
	authority := t.TempDir()
	s := memstore.New()
	desk, err := keys.OpenDesk(authority, s, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for range count {
		all = append(all, newManager(t, authority))
	}
	text, _, err := desk.CreateToken(t.Context(), v1.RoleWorker, time.Hour, 1)
	if err != nil {
		t.Fatal(err)
	}
	token, _ := keys.ParseToken(text)
	a, err := keys.Apply("w1", token.Pin)
	if err != nil {
		t.Fatal(err)
	}
	all[0].desk = desk
	j, err := request(t.Context(), a, all[0].address, grpcstore.Joining{Token: token.String(), Name: "w1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Save(dir+"/keys", j.Certificate, nil); err != nil {
		t.Fatal(err)
	}
	return all
}

func newManager(t *testing.T, authority string) *boss {
	t.Helper()
	m := &boss{}
	api := server.New(server.Config{Store: memstore.New(), Kinds: v1.Kinds, Members: m, Log: logr.Discard()})
	c, err := keys.ServerConfig(authority, "m", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	l, err := server.ListenTLS("127.0.0.1:0", c)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = api.Serve(l) }()
	m.behind = l.Addr().String()
	m.open(t, "127.0.0.1:0")
	t.Cleanup(func() {
		m.close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = api.Shutdown(ctx)
	})
	return m
}

// open passes on connections.
func (m *boss) open(t *testing.T, at string) {
	t.Helper()
	door, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	m.address = door.Addr().String()
	m.set(func() { m.door = door })
	go func() {
		for {
			in, err := door.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", m.behind)
			if err != nil {
				_ = in.Close()
				continue
			}
			m.set(func() { m.conns = append(m.conns, in, out) })
			go m.pass(in, out)
			go m.pass(out, in)
		}
	}()
}

// pass loses what comes while the door is stuck.
func (m *boss) pass(from, to net.Conn) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		stuck := false
		m.set(func() { stuck = m.stuck })
		if !stuck && n > 0 {
			_, _ = to.Write(b[:n])
		}
		if err != nil {
			_ = to.Close()
			return
		}
	}
}

func (m *boss) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.door.Close()
	for _, c := range m.conns {
		_ = c.Close()
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not in time: " + what)
		}
	}
}

// goesTo waits until the worker is heard at, and can be asked by, a manager from now on.
func goesTo(t *testing.T, what string, m *boss) {
	t.Helper()
	beats := m.beats.Load()
	eventually(t, what, func() bool { return m.beats.Load() > beats && m.reached.Load() > 0 })
}

// TestLinkMovesOn: a worker learns where the managers are, keeps that when it changes and only then, and turns to another when
// one goes away, falls silent or is of no use.
func TestLinkMovesOn(t *testing.T) {
	dir := t.TempDir()
	all := managersOf(t, dir, 3)
	first, second, third := all[0], all[1], all[2]
	id := identity{Name: "w1", Cluster: "c", Role: v1.RoleWorker, Managers: []string{first.address}}
	if err := id.save(dir); err != nil {
		t.Fatal(err)
	}
	two, rest := []string{first.address, second.address}, []string{second.address, third.address}
	first.told, second.told, third.told = two, rest, rest
	n := &node{config: config{dataDir: dir}, id: id}
	var writes atomic.Int64
	save := func(m []string) error { writes.Add(1); return n.saveManagers(m) }
	l, err := openLink(id.Managers, n.keysDir(), save, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	defer func() { cancel(); work.Wait(); _ = l.close() }()
	pace := make(chan time.Duration, 1)
	pace <- 50 * time.Millisecond
	work.Go(func() { l.beat(ctx, pace, func(error) {}) })
	work.Go(func() { l.reach(ctx, holdOpen) })
	kept := func() []string {
		id, err := readIdentity(dir)
		if err != nil {
			t.Error(err)
		}
		return id.Managers
	}
	goesTo(t, "the first manager is used", first)
	eventually(t, "both managers are known", func() bool { return slices.Equal(kept(), two) })
	beats := first.beats.Load()
	eventually(t, "more heartbeats", func() bool { return first.beats.Load() > beats+5 })
	if w := writes.Load(); w != 1 {
		t.Errorf("one change is written %d times", w)
	}
	first.set(func() { first.stuck = true })
	goesTo(t, "a silent manager is left", second)
	eventually(t, "those who are now managers are known", func() bool { return slices.Equal(kept(), rest) })
	second.close()
	goesTo(t, "a manager that is gone is left", third)
	if w := writes.Load(); w != 2 {
		t.Errorf("two changes are written %d times", w)
	}
	second.open(t, second.address)
	third.set(func() { third.useless = store.ErrUnavailable })
	goesTo(t, "a manager that says that it is of no use is left", second)
	if left, _ := filepath.Glob(filepath.Join(dir, "*.new")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if info, _ := os.Stat(filepath.Join(dir, identityName)); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o", info.Mode().Perm())
	}
}

// holdOpen serves nothing on a connection until it ends.
func holdOpen(l net.Listener) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, c)
	return errors.Join(err, l.Close())
}
