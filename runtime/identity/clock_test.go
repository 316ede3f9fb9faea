package identity

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	v1 "warren.io/warren/apis/v1"
)

var dawn = time.Date(1970, 1, 1, 0, 1, 0, 0, time.UTC)

func TestClock(t *testing.T) {
	wall, dir := dawn, t.TempDir()
	c := &Clock{Wall: func() time.Time { return wall }}
	is := func(what string, want time.Time) {
		t.Helper()
		if got := c.Now(); !got.Equal(want) {
			t.Errorf("%s: it is %s, want %s", what, got, want)
		}
	}
	is("nothing known", dawn)
	build := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	c.built(build)
	is("the build", build)
	seen := build.AddDate(0, 3, 0)
	c.saw(seen)
	c.saw(build)
	is("a certificate", seen)
	c.saw(build.AddDate(11, 0, 0))
	is("a certificate of a machine that is far ahead", seen)
	if err := c.keep(dir); err != nil {
		t.Fatal(err)
	}
	if !c.Behind() {
		t.Error("1970 is taken for right")
	}
	wall = seen.Add(time.Minute)
	is("the clock was set", wall)
	if c.Behind() {
		t.Error("a clock that is ahead of all that is known is taken for wrong")
	}
	before, _ := os.ReadFile(filepath.Join(dir, clockFile))
	if err := c.keep(dir); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, clockFile)); string(after) != string(before) {
		t.Error("a minute is written down")
	}
	c = &Clock{Wall: func() time.Time { return dawn }}
	c.load(dir)
	is("after a restart", seen)
	for _, broken := range []string{"", "yesterday\n"} {
		if err := os.WriteFile(filepath.Join(dir, clockFile), []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		c = &Clock{Wall: func() time.Time { return dawn }}
		c.load(dir)
		is("a damaged file", dawn)
	}
}

// admitted is a node with a clock of its own.
func (r *reception) admitted(t *testing.T, c *Clock) *Node {
	t.Helper()
	a, cert, err := r.applies(t.Context(), r.token(t, time.Hour, 1), "w1")
	if err != nil {
		t.Fatal(err)
	}
	a.cas, a.clock = []*x509.Certificate{r.ca.cert}, c
	dir := t.TempDir()
	if err := a.Save(dir, cert, nil); err != nil {
		t.Fatal(err)
	}
	n, err := OpenNode(dir)
	if err != nil {
		t.Fatal(err)
	}
	n.clock = c
	return n
}

// TestNodeBootsIn1970: it talks to its manager, which is younger than its program, learns the time from the manager's certificate,
// and renews its own, of which it cannot tell the age, once.
func TestNodeBootsIn1970(t *testing.T) {
	r := newReception(t)
	server, err := ServerConfig(r.dir, "m", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	c := &Clock{Wall: func() time.Time { return dawn }}
	c.built(r.at.AddDate(-1, 0, 0))
	n := r.admitted(t, c)
	c.floor = r.at.AddDate(-1, 0, 0)
	if err := talk(t, server, n.TLS()); err != nil {
		t.Fatalf("a node in 1970: %v", err)
	}
	if ago := r.at.Sub(c.Now()); ago < backdate-time.Minute || ago > backdate+time.Minute {
		t.Errorf("the node takes it to be %s before now", ago)
	}
	if n.Expired() || n.RenewIn() != 0 {
		t.Errorf("expired %v, renewed in %s", n.Expired(), n.RenewIn())
	}
	r.at = r.at.AddDate(0, 2, 0)
	csr, err := n.Request()
	if err != nil {
		t.Fatal(err)
	}
	cert, _, err := r.Renew(t.Context(), "w1", csr)
	if err == nil {
		err = n.Renewed(cert)
	}
	if err != nil || n.RenewIn() < 40*24*time.Hour {
		t.Errorf("%v; once more in %s", err, n.RenewIn())
	}
	if now := c.Now(); now.Before(r.at.Add(-backdate - time.Minute)) {
		t.Errorf("the new certificate is of %s, and the node takes it to be %s", r.at, now)
	}
}

// TestManagerBootsIn1970: what it signs is good for those whose clocks are right.
func TestManagerBootsIn1970(t *testing.T) {
	r := newReception(t)
	n := r.admitted(t, &Clock{})
	system = &Clock{Wall: func() time.Time { return dawn }}
	system.built(r.at.Add(-40 * 24 * time.Hour))
	server, err := ServerConfig(r.dir, "m", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if err := talk(t, server, n.TLS()); err != nil {
		t.Errorf("a node whose clock is right: %v", err)
	}
	if now := Now(); now.Before(r.at.Add(-2 * backdate)) {
		t.Errorf("the manager has learned the time from the node: %s", now)
	}
}

// TestExpiredVisitors: a node whose certificate has run out is let in to renew it; an administrator is not.
func TestExpiredVisitors(t *testing.T) {
	r := newReception(t)
	n := r.admitted(t, system)
	server, err := ServerConfig(r.dir, "m", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	past := func(name string, role v1.Role) *tls.Config {
		x := template(name, role)
		x.NotBefore, x.NotAfter = r.at.AddDate(-1, 0, 0), r.at.Add(-time.Minute)
		p, err := issue(r.ca, x)
		if err != nil {
			t.Fatal(err)
		}
		c := n.TLS()
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &tls.Certificate{Certificate: [][]byte{p.cert.Raw}, PrivateKey: p.key}, nil
		}
		return c
	}
	if err := talk(t, server, past("w1", v1.RoleWorker)); err != nil {
		t.Errorf("a worker: %v", err)
	}
	for _, role := range []v1.Role{v1.RoleAdmin, "operator", ""} {
		if err := talk(t, server, past("x", role)); err == nil {
			t.Errorf("%q is let in", role)
		}
	}
	own := newReception(t)
	r.ca = own.ca
	if err := talk(t, server, past("w1", v1.RoleWorker)); err == nil {
		t.Error("a worker of another cluster is let in")
	}
}
