package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/identity"
	"warren.io/warren/runtime/server/api"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
	"warren.io/warren/runtime/store/memstore"
)

// fakeMembers admits with a real desk and remembers who was heard and reached.
type fakeMembers struct {
	*identity.Desk
	mem     *memstore.Store
	roster  *identity.Roster
	heard   chan string
	reached chan *grpcstore.Store
}

func (m fakeMembers) CreateToken(ctx context.Context, w TokenWish) (NewToken, error) {
	text, t, err := m.Desk.CreateTokenFor(ctx, w.User, v1.Role(w.Role), w.TTL, w.Uses)
	if err != nil {
		return NewToken{}, err
	}
	return NewToken{Text: text, ID: t.Metadata.Name, Expires: t.Spec.Expires, Address: "here:1"}, nil
}

func (m fakeMembers) Join(ctx context.Context, j Joining) (Joined, error) {
	cert, role, err := m.Desk.Join(ctx, j.Token, j.Name, j.Address, j.CSR)
	return Joined{Certificate: cert, Cluster: "c", Role: string(role)}, err
}

func (m fakeMembers) Renew(ctx context.Context, node string, csr []byte) (Renewed, error) {
	cert, role, err := m.Desk.Renew(ctx, node, csr)
	return Renewed{Certificate: cert, Role: string(role)}, err
}

func (fakeMembers) IsManager(node string) bool { return node == "m1" }

func (fakeMembers) Relayed([]string) error { return nil }

func (fakeMembers) Managers(context.Context, bool) ([]MemberState, error) { return nil, nil }

func (fakeMembers) Place(_ context.Context, node string, w PlaceWish) (Place, error) {
	return Place{ID: 7, Peers: []string{node, w.Address}}, nil
}

func (m fakeMembers) Login(ctx context.Context, l LoggingIn) (LoggedIn, error) {
	cert, u, err := m.Desk.Login(ctx, l.Token, l.User, l.CSR)
	if err != nil {
		return LoggedIn{}, err
	}
	return LoggedIn{Certificate: cert, Cluster: "c", Role: string(u.Spec.Role), User: u.Metadata.Name}, nil
}

func (m fakeMembers) Heard(node string) { m.heard <- node }

func (m fakeMembers) Addresses() ([]string, error) { return []string{"here:1", "there:1"}, nil }

func (m fakeMembers) Reached(ctx context.Context, node string, c *Pipe) error {
	s, err := grpcstore.Over("node "+node, c)
	if err != nil {
		return err
	}
	defer s.Close()
	m.reached <- s
	select {
	case <-c.Done():
	case <-ctx.Done():
	}
	return nil
}

// Standing looks into a real roster.
func (m fakeMembers) Standing(ctx context.Context, cert *x509.Certificate) (Standing, error) {
	known, err := m.roster.Knows(ctx, cert, m.mem)
	if err != nil || !known {
		return Dismissed, err
	}
	if identity.Expired(cert) {
		return Expired, nil
	}
	return Good, nil
}

// Impostor looks into a real roster.
func (m fakeMembers) Impostor(cert *x509.Certificate) bool { return m.roster.Differs(cert) }

// Dismissed shows nothing.
func (m fakeMembers) Dismissed(string) store.Store {
	return store.Scope(m.mem, store.Rights{Kinds: []string{"Node"}, Shows: func(meta.Object) meta.Object { return nil },
		Writes: func(_, _ meta.Object, _ func(meta.Key) (meta.Object, error)) error { return errors.New("no") }})
}

// Scope shows a worker its own Node.
func (m fakeMembers) Scope(node string) store.Store {
	return store.Scope(m.mem, store.Rights{Kinds: []string{"Node"}, Shows: func(o meta.Object) meta.Object {
		if o.Key().Name == node {
			return o
		}
		return nil
	}, Writes: func(_, _ meta.Object, _ func(meta.Key) (meta.Object, error)) error { return errors.New("no") }})
}

// cluster is a manager that serves with keys, and a worker w1 that has joined it.
type cluster struct {
	*fixture
	members fakeMembers
	address string
	dir     string
	worker  *grpcstore.Store
	keys    *identity.Node
	first   *identity.Node // that had the same name before
	token   string         // once more
}

func newCluster(t *testing.T, change func(*Config)) *cluster {
	t.Helper()
	c := &cluster{dir: t.TempDir(), members: fakeMembers{roster: &identity.Roster{}, heard: make(chan string, 10), reached: make(chan *grpcstore.Store, 1)}}
	c.fixture = serve(t, func(cfg *Config) {
		c.members.mem = cfg.Store.(*memstore.Store)
		var err error
		if c.members.Desk, err = identity.OpenDesk(c.dir, cfg.Store, time.Now); err != nil {
			t.Fatal(err)
		}
		cfg.Members = c.members
		if change != nil {
			change(cfg)
		}
	})
	config, err := identity.ServerConfig(c.dir, "m", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	l, err := ListenTLS("127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	c.serveOn(t, l)
	c.address = l.Addr().String()
	c.members.roster.Gone = func(node, key string) {
		c.Expel(node, func(x *x509.Certificate) bool { return identity.KeyOf(x) == key })
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan bool)
	go func() { defer close(ended); c.members.roster.Follow(ctx, c.members.mem) }()
	t.Cleanup(func() { cancel(); <-ended })
	c.joins(t)
	return c
}

// joins makes the worker with a token that an administrator made.
func (c *cluster) joins(t *testing.T) {
	t.Helper()
	made, err := c.dial(t).CreateToken(t.Context(), grpcstore.TokenWish{Role: "worker", TTL: time.Hour, Uses: 2})
	if err != nil || made.Address != "here:1" || time.Until(made.Expires) < 59*time.Minute {
		t.Fatal(made, err)
	}
	c.token = made.Text
	token, err := identity.ParseToken(made.Text)
	if err != nil {
		t.Fatal(err)
	}
	a, err := identity.Apply("w1", token.Pin)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := a.Request()
	if err != nil {
		t.Fatal(err)
	}
	j, err := c.as(t, a.TLS()).Join(t.Context(), grpcstore.Joining{Token: made.Text, Name: "w1", CSR: csr})
	if err != nil || j.Cluster != "c" || j.Role != "worker" {
		t.Fatal(j, err)
	}
	dir := t.TempDir()
	if err := a.Save(dir, j.Certificate, nil); err != nil {
		t.Fatal(err)
	}
	if c.keys, err = identity.OpenNode(dir); err != nil {
		t.Fatal(err)
	}
	c.worker = c.as(t, c.keys.TLS())
}

// as is the API over the port with somebody's keys.
func (c *cluster) as(t *testing.T, config *tls.Config) *grpcstore.Store {
	t.Helper()
	s, err := grpcstore.Dial(c.address, grpcstore.Options{TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// nobody has no certificate.
func (c *cluster) nobody(t *testing.T) *tls.Config {
	token, err := identity.ParseToken(c.token)
	if err != nil {
		t.Fatal(err)
	}
	a, err := identity.Apply("x", token.Pin)
	if err != nil {
		t.Fatal(err)
	}
	return a.TLS()
}

// calls are all that can be asked for but Join, on behalf of somebody.
func calls(ctx context.Context, s *grpcstore.Store) map[string]func() error {
	key := meta.Key{Kind: "Node", Name: "w1"}
	return map[string]func() error{
		"Get":        func() error { _, err := s.Get(ctx, key); return err },
		"List":       func() error { _, _, err := s.List(ctx); return err },
		"Watch":      func() error { return (<-s.Watch(ctx, 0)).Err },
		"Commit":     func() error { _, err := s.Commit(ctx, put(aService("web"))); return err },
		"Logs":       func() error { return s.Logs(ctx, "t", host.LogOptions{}, func(host.LogLine) error { return nil }) },
		"Exec":       func() error { _, err := s.Exec(ctx, "t", host.Command{Args: []string{"x"}}); return err },
		"Forward":    func() error { _, err := s.DialTask(ctx, "t", 80); return err },
		"ReadFiles":  func() error { return s.ReadFiles(ctx, "t", "/", io.Discard) },
		"WriteFiles": func() error { return s.WriteFiles(ctx, "t", "/", "x", strings.NewReader("")) },
		"Usage":      func() error { _, err := s.Usage(ctx); return err },
		"Images":     func() error { _, err := s.ListImages(ctx); return err },
		"Import":     func() error { _, err := s.ImportImage(ctx, strings.NewReader(""), host.ImportOptions{}); return err },
		"Remove":     func() error { return s.RemoveImage(ctx, "x") },
		"Pin":        func() error { return s.PinImage(ctx, "x", true) },
		"Pulls":      func() error { _, err := s.Pulls(ctx); return err },
		"Info":       func() error { _, err := s.Info(ctx); return err },
		"Graph":      func() error { _, err := s.Graph(ctx); return err },
		"Why":        func() error { _, err := s.Why(ctx, key); return err },
		"Stop":       func() error { return s.Stop(ctx, false) },
		"Reports":    func() error { return s.Reports(ctx, func(grpcstore.Report) error { return nil }) },
		"CreateToken": func() error {
			_, err := s.CreateToken(ctx, grpcstore.TokenWish{Role: "worker", TTL: time.Hour, Uses: 1})
			return err
		},
		"Renew":     func() error { _, err := s.Renew(ctx, nil); return err },
		"Heartbeat": func() error { return s.Heartbeat(ctx, each(time.Hour), nil, func([]string) {}) },
		"Reach": func() error {
			return s.Reach(ctx, func(l net.Listener) error {
				c, err := l.Accept()
				_, err2 := c.Read(make([]byte, 1))
				return errors.Join(err, err2)
			})
		},
	}
}

// TestWithoutACertificate: everything but joining is refused, by both protocols.
func TestWithoutACertificate(t *testing.T) {
	c := newCluster(t, nil)
	s := c.as(t, c.nobody(t))
	for what, call := range calls(t.Context(), s) {
		if err := call(); !errors.Is(err, store.ErrForbidden) && what != "Reach" || err == nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: c.nobody(t)}, Timeout: soon}
	defer web.CloseIdleConnections()
	for _, path := range []string{"/v1/nodes", "/v1/nodes/w1", "/metrics", "/debug/pprof/", "/healthz", "/"} {
		r, err := web.Get("https://" + c.address + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if r.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "needs a certificate") {
			t.Errorf("%s: %s %s", path, r.Status, body)
		}
	}
}

// forAWorker are the calls that it needs.
var forAWorker = map[string]bool{"Get": true, "List": true, "Watch": true, "Commit": true, "Renew": true, "Heartbeat": true, "Reach": true}

func TestWorkerCallsOnlyWhatItNeeds(t *testing.T) {
	c := newCluster(t, nil)
	for what, call := range calls(t.Context(), c.worker) {
		if forAWorker[what] {
			continue
		}
		if err := call(); !errors.Is(err, store.ErrForbidden) || !strings.Contains(err.Error(), "not for worker w1") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if o, err := c.worker.Get(t.Context(), meta.Key{Kind: "Node", Name: "w1"}); err != nil || o.Key().Name != "w1" {
		t.Errorf("its own node: %v", err)
	}
	all, _, err := c.worker.List(t.Context())
	if err != nil || len(all) != 1 {
		t.Errorf("it lists %d objects, %v", len(all), err)
	}
	if _, err := c.worker.Commit(t.Context(), put(aService("web"))); !errors.Is(err, store.ErrForbidden) {
		t.Errorf("it writes a service: %v", err)
	}
	csr, err := c.keys.Request()
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := c.worker.Renew(t.Context(), csr)
	cert := renewed.Certificate
	if err == nil {
		err = c.keys.Renewed(cert)
	}
	if err != nil {
		t.Errorf("it cannot renew: %v", err)
	}
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: c.keys.TLS()}, Timeout: soon}
	defer web.CloseIdleConnections()
	if r, err := web.Get("https://" + c.address + "/v1/services"); err != nil || r.StatusCode != http.StatusForbidden {
		t.Errorf("it reads over HTTP: %v %v", r, err)
	}
}

// TestRefusalsAreLoggedOnce: a thousand tries fill no log.
func TestRefusalsAreLoggedOnce(t *testing.T) {
	lines := make(chan string, 1000)
	c := newCluster(t, func(cfg *Config) {
		cfg.Log = funcr.New(func(_, args string) { lines <- args }, funcr.Options{})
	})
	for range 50 {
		if _, err := c.worker.Graph(t.Context()); !errors.Is(err, store.ErrForbidden) {
			t.Fatal(err)
		}
	}
	if len(lines) != 1 {
		t.Errorf("%d lines", len(lines))
	}
	if l := <-lines; !strings.Contains(l, "refused") || !strings.Contains(l, "w1") || !strings.Contains(l, "127.0.0.1") {
		t.Errorf("the log says %s", l)
	}
}

func each(d time.Duration) *time.Duration { return &d }

func TestHeartbeat(t *testing.T) {
	c := newCluster(t, nil)
	ctx, stop := context.WithCancel(t.Context())
	answered, ended := make(chan string, 10), make(chan error, 1)
	go func() {
		ended <- c.worker.Heartbeat(ctx, each(10*time.Second), nil, func(all []string) { answered <- strings.Join(all, " ") })
	}()
	if node := <-c.members.heard; node != "w1" {
		t.Errorf("heard %s", node)
	}
	if all := <-answered; all != "here:1 there:1" {
		t.Errorf("managers are at %q", all)
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestSilentManager: a connection on which nothing comes back is found out.
func TestSilentManager(t *testing.T) {
	end := make(chan struct{})
	c := newCluster(t, func(cfg *Config) { cfg.Members = stuck{cfg.Members, end} })
	defer close(end)
	err := c.worker.Heartbeat(t.Context(), each(20*time.Millisecond), nil, func([]string) {})
	if !errors.Is(err, grpcstore.ErrSilent) {
		t.Error(err)
	}
}

// stuck hears, and does not come back until the end.
type stuck struct {
	Members
	end chan struct{}
}

func (s stuck) Heard(string) { <-s.end }

// TestReach: a manager asks a worker over the worker's own connection, as often as it likes, until that ends.
func TestReach(t *testing.T) {
	leaks(t)
	c := newCluster(t, nil)
	f := &fakeInside{commands: map[string]func(context.Context, host.Command) (int, error){
		"cat": func(_ context.Context, c host.Command) (int, error) {
			_, err := io.Copy(c.Stdout, c.Stdin)
			return 3, err
		},
	}}
	node := serve(t, func(c *Config) { c.Inside = f })
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.worker.Reach(ctx, node.Serve) }()
	there := <-c.members.reached
	big := strings.Repeat("0123456789", 100_000)
	for range 2 {
		var out strings.Builder
		code, err := there.Exec(t.Context(), "web-1", host.Command{Args: []string{"cat"}, Stdin: strings.NewReader(big), Stdout: &out})
		if code != 3 || err != nil || out.String() != big {
			t.Errorf("%d %v, %d bytes", code, err, out.Len())
		}
	}
	if _, err := there.Exec(t.Context(), "web-1", host.Command{Args: []string{"none"}}); !errors.Is(err, host.ErrNoCommand) {
		t.Errorf("an error of the other side: %v", err)
	}
	stop()
	<-ended
	deadline := time.Now().Add(soon)
	for err := error(nil); !errors.Is(err, grpcstore.ErrUnavailable); time.Sleep(time.Millisecond) {
		if _, err = there.Exec(t.Context(), "web-1", host.Command{Args: []string{"none"}}); time.Now().After(deadline) {
			t.Fatal("the connection has ended, and the manager is told: ", err)
		}
	}
}

// Roles other than those that are known are nobody's.
func TestHolder(t *testing.T) {
	c := newCluster(t, nil)
	config, err := identity.ClientConfig(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.as(t, config).Info(t.Context()); !errors.Is(err, api.ErrNotServed) {
		t.Errorf("the administrator: %v", err)
	}
	for what, x := range map[string]struct {
		organization []string
		role         v1.Role
	}{"old administrator": {nil, v1.RoleAdmin}, "administrator": {[]string{"warren:admin"}, v1.RoleAdmin}, "worker": {[]string{"warren:worker"}, v1.RoleWorker},
		"two roles": {[]string{"warren:worker", "warren:admin"}, ""}, "foreign": {[]string{"Acme"}, ""}} {
		if got := subject("x", x.organization); got.role != x.role {
			t.Errorf("%s: %+v", what, got)
		}
	}
	if err := c.permit(t.Context(), caller{}, api.Warren_Get_FullMethodName); !errors.Is(err, store.ErrForbidden) {
		t.Errorf("nobody at all: %v", err)
	}
}
