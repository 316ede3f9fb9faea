package identity

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync"
)

// Front is what a manager shows at its port, and whom it believes there. Both may change while it runs.
type Front struct {
	dir, node string
	hosts     []string

	mu     sync.Mutex
	shown  tls.Certificate
	roots  *x509.CertPool
	signer string
}

// OpenFront makes what a manager shows at HOST:PORT: a certificate for the hosts by which it is reached, made anew at each start, with
// those of the authorities behind it. Authority and administrator's key are made in dir at the first start; whoever has admin.crt,
// admin.key and ca.crt may do everything. While the authority's key is locked, the certificate of the last start is shown.
func OpenFront(dir, node string, hosts ...string) (*Front, error) {
	system.load(dir)
	f := &Front{dir: dir, node: node, hosts: hosts}
	return f, f.Refresh()
}

// Refresh shows, from the next connection on, what the authority that signs now has signed, and believes those that are to be
// believed now.
func (f *Front) Refresh() error {
	vouches, err := align(f.dir)
	if err != nil {
		return fmt.Errorf("keys in %s: %w", f.dir, err)
	}
	own, signer, err := serverPair(f.dir, f.node, f.hosts)
	if err != nil {
		return fmt.Errorf("keys in %s: %w", f.dir, err)
	}
	all, err := readAuthorities(f.dir)
	if err != nil {
		return fmt.Errorf("keys in %s: %w", f.dir, err)
	}
	chain := [][]byte{own.cert.Raw}
	for _, ca := range all {
		chain = append(chain, ca.Raw)
	}
	if vouches != nil {
		chain = append(chain, vouches.Raw)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shown, f.roots, f.signer = tls.Certificate{Certificate: chain, PrivateKey: own.key}, pool(all...), pinOf(signer.Raw)
	return nil
}

// Signer is the name of the authority whose certificate is shown.
func (f *Front) Signer() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.signer
}

// TLS is how a manager answers. It lets in those who show a certificate of an authority that is believed, and those who show none:
// what they may ask is up to the API.
func (f *Front) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.RequestClientCert, Time: Now,
		VerifyConnection: func(s tls.ConnectionState) error {
			f.mu.Lock()
			roots := f.roots
			f.mu.Unlock()
			return system.visitor(s, roots)
		},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			return &f.shown, nil
		},
	}
}

// ServerConfig is Front.TLS of a manager that shows the same for as long as it runs.
func ServerConfig(dir, node string, hosts ...string) (*tls.Config, error) {
	f, err := OpenFront(dir, node, hosts...)
	if err != nil {
		return nil, err
	}
	return f.TLS(), nil
}
