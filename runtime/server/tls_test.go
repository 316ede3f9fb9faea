package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
	"warren.io/warren/runtime/store/memstore"
)

// certificate is good for both sides of 127.0.0.1, signed by itself.
func certificate(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	pool.AddCert(c)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// named remembers who called.
type named struct {
	*memstore.Store
	name chan string
}

func (n named) Get(ctx context.Context, k meta.Key) (meta.Object, error) {
	who := "nobody"
	if p, ok := peer.FromContext(ctx); ok {
		if t, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			who = t.State.PeerCertificates[0].Subject.CommonName
		}
	}
	n.name <- who
	return n.Store.Get(ctx, k)
}

func TestMutualTLSForBothProtocols(t *testing.T) {
	serverCert, serverPool := certificate(t, "server")
	userCert, userPool := certificate(t, "user")
	stranger, _ := certificate(t, "stranger")
	n := named{memstore.New(aService("web")), make(chan string, 1)}
	f := serve(t, func(c *Config) { c.Store = n })
	l, err := ListenTLS("127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{serverCert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: userPool})
	if err != nil {
		t.Fatal(err)
	}
	f.serveOn(t, l)
	address, key := l.Addr().String(), aService("web").Key()
	get := func(c *tls.Config) error {
		s, err := grpcstore.Dial(address, grpcstore.Options{TLS: c})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		_, err = s.Get(t.Context(), key)
		return err
	}
	good := &tls.Config{Certificates: []tls.Certificate{userCert}, RootCAs: serverPool}
	if err := get(good); err != nil {
		t.Fatal(err)
	}
	if who := <-n.name; who != "user" {
		t.Fatalf("the server takes it for %s", who)
	}
	bad := map[string]*tls.Config{"no TLS": nil, "no certificate": {RootCAs: serverPool}, "another CA": {RootCAs: userPool, Certificates: good.Certificates},
		"a stranger": {RootCAs: serverPool, Certificates: []tls.Certificate{stranger}}}
	for what, c := range bad {
		if err := get(c); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: good}, Timeout: soon}
	defer web.CloseIdleConnections()
	r, err := web.Get("https://" + address + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if body, _ := io.ReadAll(r.Body); string(body) != "ok\n" {
		t.Fatalf("%s %s", r.Status, body)
	}
}
