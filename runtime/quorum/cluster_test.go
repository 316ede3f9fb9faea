package quorum

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// authority signs certificates into a directory.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, dir string) *authority {
	t.Helper()
	a := &authority{dir: dir}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	a.key = a.sign(t, "ca", template)
	return a
}

// sign makes a key and a certificate, signed by the authority or, the first time, by itself.
func (a *authority) sign(t testing.TB, file string, template *x509.Certificate) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err2 := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	if a.cert == nil {
		a.cert, _ = x509.ParseCertificate(der)
	}
	raw, _ := x509.MarshalECPrivateKey(key)
	for name, block := range map[string]*pem.Block{file + ".crt": {Type: "CERTIFICATE", Bytes: der}, file + ".key": {Type: "EC PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(filepath.Join(a.dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return key
}

// peer makes a certificate for a node and says how it reaches others.
func (a *authority) peer(t testing.TB, name, role, address string) PeerConfig {
	t.Helper()
	a.sign(t, name, &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name, Organization: []string{role}},
		DNSNames: []string{ServerName}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)})
	return peerFiles(a.dir, name, address)
}

func peerFiles(dir, name, address string) PeerConfig {
	return PeerConfig{Advertise: address, Cert: filepath.Join(dir, name+".crt"), Key: filepath.Join(dir, name+".key"), CA: filepath.Join(dir, "ca.crt")}
}

// freeAddress is one that nobody listens on.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// door is the one port of a node: TLS 1.3, client certificates if given, the quorum's handler once there is one.
type door struct {
	server  *http.Server
	mu      sync.Mutex
	handler http.Handler
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	h := d.handler
	d.mu.Unlock()
	if h == nil || !ForPeers(r) {
		http.Error(w, "not yet", http.StatusServiceUnavailable)
		return
	}
	h.ServeHTTP(w, r)
}

func (d *door) mount(h http.Handler) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.handler = h
}

type connKey struct{}

// withConn is ConnContext, and lets a handler find its connection.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ConnContext(ctx, c), connKey{}, c)
}

func openDoor(p PeerConfig) (*door, error) {
	pair, err := tls.LoadX509KeyPair(p.Cert, p.Key)
	if err != nil {
		return nil, err
	}
	pool, err := p.pool()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", p.Advertise)
	if err != nil {
		return nil, err
	}
	d := &door{}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven, MinVersion: tls.VersionTLS13}
	d.server = &http.Server{Handler: d, ConnContext: withConn, TLSConfig: config, ErrorLog: log.New(io.Discard, "", 0)}
	go d.server.Serve(tls.NewListener(l, config))
	return d, nil
}

// node is a member of a test's cluster.
type node struct {
	*Quorum
	config Config
	door   *door
}

// cluster is a test's members, in this process.
type cluster struct {
	t     testing.TB
	ca    *authority
	nodes []*node
}

func newCluster(t testing.TB, size int) *cluster {
	t.Helper()
	c := &cluster{t: t, ca: newAuthority(t, t.TempDir())}
	for i := range size {
		n := c.member(fmt.Sprintf("n%d", i))
		if i == 0 {
			c.start(n)
			continue
		}
		c.join(n)
	}
	return c
}

func (c *cluster) member(name string) *node {
	log := logr.Discard()
	if t, ok := c.t.(*testing.T); ok && testing.Verbose() {
		log = testr.New(t).WithName(name)
	}
	n := &node{config: Config{DataDir: filepath.Join(c.t.TempDir(), "etcd"), Name: name, Kinds: v1.Kinds, Log: log}}
	n.config.Peer = c.ca.peer(c.t, name, Role, freeAddress(c.t))
	c.nodes = append(c.nodes, n)
	c.t.Cleanup(func() { n.close() })
	return n
}

func (n *node) open() (err error) {
	if n.door, err = openDoor(n.config.Peer); err != nil {
		return err
	}
	n.Quorum, err = Start(context.Background(), n.config)
	return n.serve(err)
}

func (n *node) serve(err error) error {
	if err != nil {
		n.door.server.Close()
		n.Quorum = nil
		return err
	}
	n.door.mount(n.Handler())
	return nil
}

func (c *cluster) start(n *node) {
	c.t.Helper()
	if err := n.open(); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) tryJoin(n *node, j Joining) (err error) {
	if n.door, err = openDoor(n.config.Peer); err != nil {
		return err
	}
	n.Quorum, err = Join(c.t.Context(), n.config, j)
	return n.serve(err)
}

// join adds a node through the first one and waits until it votes.
func (c *cluster) join(n *node) {
	c.t.Helper()
	j, err := c.nodes[0].AddLearner(c.t.Context(), n.config.Name, n.config.Peer.Advertise)
	if err == nil {
		err = c.tryJoin(n, j)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.votes(n)
}

func (c *cluster) votes(n *node) {
	c.t.Helper()
	<-n.Ready()
	eventually(c.t, "everybody knows that "+n.config.Name+" votes", func() bool {
		for _, x := range c.nodes {
			if x.Quorum == nil {
				continue
			}
			if m := x.find(n.config.Name); m == nil || m.IsLearner {
				return false
			}
		}
		return true
	})
}

func (n *node) close() {
	if n.Quorum != nil {
		n.Quorum.Close()
		n.door.server.Close()
		n.Quorum = nil
	}
}

// leader waits until all open nodes agree on one of them.
func (c *cluster) leader() *node {
	c.t.Helper()
	var found *node
	eventually(c.t, "a leader", func() bool {
		found = nil
		for _, n := range c.nodes {
			if n.Quorum != nil && n.server.Leader() == n.server.MemberID() {
				found = n
			}
		}
		for _, n := range c.nodes {
			if n.Quorum != nil && found != nil && n.server.Leader() != found.server.MemberID() {
				return false
			}
		}
		return found != nil
	})
	return found
}

// put writes whatever is there, and again while nobody knows whether it was written.
func (c *cluster) put(n *node, name string) store.Revision {
	c.t.Helper()
	var rev store.Revision
	eventually(c.t, "a commit of "+name, func() bool {
		o := service(name)
		var err error
		rev, err = n.Store().Commit(c.t.Context(), store.Op{Verb: store.Put, Key: o.Key(), Object: o, Guard: store.Any})
		if err != nil && !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrUnknown) {
			c.t.Fatal(err)
		}
		return err == nil
	})
	return rev
}

func (c *cluster) has(n *node, name string) {
	c.t.Helper()
	eventually(c.t, n.config.Name+" has "+name, func() bool {
		_, err := n.Store().Get(c.t.Context(), service(name).Key())
		return err == nil
	})
}
