package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
)

// reception is a desk over a store in memory, with a clock that the test sets.
type reception struct {
	*Desk
	mem *memstore.Store
	dir string
	at  time.Time
}

func newReception(t *testing.T) *reception {
	t.Helper()
	system = &Clock{} // what other tests have seen of times to come does not count
	r := &reception{mem: memstore.New(), dir: t.TempDir(), at: time.Now()}
	var err error
	if r.Desk, err = OpenDesk(r.dir, r.mem, func() time.Time { return r.at }); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *reception) token(t *testing.T, ttl time.Duration, uses int) string {
	t.Helper()
	text, _, err := r.CreateToken(t.Context(), v1.RoleWorker, ttl, uses)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (r *reception) used(t *testing.T, text string) int {
	t.Helper()
	token, err := ParseToken(text)
	if err != nil {
		t.Fatal(err)
	}
	o, err := r.mem.Get(t.Context(), meta.Key{Kind: "Token", Name: token.ID})
	if err != nil {
		t.Fatal(err)
	}
	return o.(*v1.Token).Status.Used
}

// applies joins with a fresh key.
func (r *reception) applies(ctx context.Context, text, name string) (*Applicant, []byte, error) {
	a, err := Apply(name, pinOf(r.ca.cert.Raw))
	if err != nil {
		return nil, nil, err
	}
	csr, err := a.Request()
	if err != nil {
		return nil, nil, err
	}
	cert, _, err := r.Join(ctx, text, name, "", csr)
	return a, cert, err
}

func TestJoinWithAToken(t *testing.T) {
	r := newReception(t)
	text := r.token(t, time.Hour, 1)
	a, cert, err := r.applies(t.Context(), text, "w1")
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(cert)
	if err != nil || c.Subject.CommonName != "w1" || c.Subject.Organization[0] != "warren:worker" || c.IsCA {
		t.Errorf("certificate %v, %v", c.Subject, err)
	}
	if days := c.NotAfter.Sub(r.at).Hours() / 24; days < 89 || days > 91 || r.at.Sub(c.NotBefore) < 23*time.Hour {
		t.Errorf("valid from %s to %s", c.NotBefore, c.NotAfter)
	}
	csr, _ := a.Request()
	if _, _, err := r.Join(t.Context(), text, "w1", "", csr); err != nil {
		t.Errorf("the answer was lost, asking again: %v", err)
	}
	if n := r.used(t, text); n != 1 {
		t.Errorf("the token counts %d uses", n)
	}
	again, _, err := r.Renew(t.Context(), "w1", csr)
	if err != nil || len(again) == 0 {
		t.Errorf("renew: %v", err)
	}
	other, _ := Apply("w1", "")
	csr, _ = other.Request()
	if _, _, err := r.Renew(t.Context(), "w1", csr); !errors.Is(err, store.ErrForbidden) {
		t.Errorf("renew for another key: %v", err)
	}
}

func TestRefusedTokens(t *testing.T) {
	r := newReception(t)
	good := r.token(t, time.Hour, 5)
	parts := strings.Split(good, ".")
	old := r.token(t, time.Minute, 1)
	r.at = r.at.Add(2 * time.Minute)
	used := r.token(t, time.Hour, 1)
	if _, _, err := r.applies(t.Context(), used, "w1"); err != nil {
		t.Fatal(err)
	}
	for what, x := range map[string]struct{ token, name, says string }{
		"no token":        {"x", "w2", "no join token"},
		"wrong secret":    {strings.Join([]string{parts[0], parts[1], parts[2], strings.Repeat("a", 26)}, "."), "w2", "another secret"},
		"unknown":         {strings.Join([]string{parts[0], parts[1], "aaaaaaaa", parts[3]}, "."), "w2", "does not exist"},
		"another cluster": {strings.Join([]string{parts[0], strings.Repeat("a", 26), parts[2], parts[3]}, "."), "w2", "another cluster"},
		"expired":         {old, "w2", "has expired"},
		"used":            {used, "w2", "used already"},
		"name is taken":   {good, "w1", "is taken"},
		"bad name":        {good, "W/1", "node name"},
	} {
		before := r.revision(t)
		if _, _, err := r.applies(t.Context(), x.token, x.name); !errors.Is(err, store.ErrForbidden) || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s: %v", what, err)
		}
		if r.revision(t) != before {
			t.Errorf("%s: something was written", what)
		}
	}
	if _, _, err := r.Join(t.Context(), good, "w2", "", []byte("no request")); !errors.Is(err, store.ErrForbidden) {
		t.Errorf("no request: %v", err)
	}
	for _, x := range []struct {
		role v1.Role
		ttl  time.Duration
		uses int
	}{{"king", time.Hour, 1}, {"boss", time.Hour, 1}, {v1.RoleWorker, time.Second, 1}, {v1.RoleWorker, 400 * 24 * time.Hour, 1}, {v1.RoleWorker, time.Hour, 0}} {
		if _, _, err := r.CreateToken(t.Context(), x.role, x.ttl, x.uses); err == nil {
			t.Errorf("a token for %+v is made", x)
		}
	}
}

func (r *reception) revision(t *testing.T) store.Revision {
	t.Helper()
	_, rev, err := r.mem.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// Many machines with one token at the same moment: as many as it admits, and no name twice.
func TestOneTokenManyMachines(t *testing.T) {
	r := newReception(t)
	text := r.token(t, time.Hour, 5)
	var mu sync.Mutex
	var in, out int
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			name := "w" + string(rune('a'+i))
			if i >= 8 {
				name = "wa"
			}
			_, _, err := r.applies(t.Context(), text, name)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				in++
			} else {
				out++
			}
		})
	}
	all.Wait()
	if n := r.used(t, text); in != 5 || out != 5 || n != 5 {
		t.Errorf("%d were let in, %d refused, the token counts %d", in, out, n)
	}
}

// TestNodeTLS: a node that has joined is known by its certificate, and talks to managers of its cluster only.
func TestNodeTLS(t *testing.T) {
	r, stranger := newReception(t), newReception(t)
	server, err := ServerConfig(r.dir, "m", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := ServerConfig(stranger.dir, "m", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	a, cert, err := r.applies(t.Context(), r.token(t, time.Hour, 1), "w1")
	if err != nil {
		t.Fatal(err)
	}
	if err := talk(t, elsewhere, a.TLS()); !errors.Is(err, ErrAuthority) {
		t.Errorf("a token leads to another cluster: %v", err)
	}
	if err := talk(t, server, a.TLS()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir() + "/keys"
	if err := a.Save(dir, cert, nil); err != nil {
		t.Fatal(err)
	}
	n, err := OpenNode(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := talk(t, server, n.TLS()); err != nil {
		t.Errorf("a node is refused: %v", err)
	}
	if err := talk(t, elsewhere, n.TLS()); !errors.Is(err, ErrAuthority) {
		t.Errorf("a node talks to another cluster: %v", err)
	}
	shown, err := server.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	asWorker := server.Clone()
	asWorker.GetCertificate = nil
	asWorker.Certificates = []tls.Certificate{{Certificate: [][]byte{cert, shown.Certificate[1]}, PrivateKey: shown.PrivateKey}}
	if err := talk(t, asWorker, n.TLS()); err == nil {
		t.Error("a node takes a worker for a manager")
	}
	r.renews(t, n)
}

// renews: at half of the life, with the same key, and it stays.
func (r *reception) renews(t *testing.T, n *Node) {
	if in := n.RenewIn(); in < 40*24*time.Hour || in > 46*24*time.Hour {
		t.Errorf("renewed in %s", in)
	}
	was := n.Expires()
	r.at = r.at.Add(45 * 24 * time.Hour)
	csr, err := n.Request()
	if err != nil {
		t.Fatal(err)
	}
	cert, _, err := r.Renew(t.Context(), "w1", csr)
	if err == nil {
		err = n.Renewed(cert)
	}
	if err != nil || n.Expires().Sub(was) < 44*24*time.Hour {
		t.Errorf("renewed: %v, expires %s", err, n.Expires())
	}
	if err := n.Renewed(r.ca.cert.Raw); err == nil {
		t.Error("a certificate of another key is kept")
	}
	again, err := OpenNode(n.dir)
	if err != nil || !again.Expires().Equal(n.Expires()) {
		t.Errorf("after a restart: %v", err)
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(NewToken(strings.Repeat("a", 26)).String())
	f.Add("warren1...")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := ParseToken(text)
		if err == nil && token.String() != strings.TrimSpace(text) {
			t.Errorf("%q is read as %q", text, token)
		}
	})
}

// FuzzRequest: whatever is sent as a certificate request, the desk goes on.
func FuzzRequest(f *testing.F) {
	a, err := Apply("x", "")
	if err != nil {
		f.Fatal(err)
	}
	csr, err := a.Request()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(csr)
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, data []byte) {
		if key, err := keyOf(data); err == nil && key == nil {
			t.Fatal("neither a key nor an error")
		}
	})
}
