package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	v1 "warren.io/warren/apis/v1"
)

// ErrAuthority means that the other side is not of the cluster that was asked for.
var ErrAuthority = errors.New("it is not of the cluster that the token or the keys are of")

// Applicant is a machine that wants to become a node. Its key is made here and never leaves the machine.
type Applicant struct {
	name string
	pin  string
	key  *ecdsa.PrivateKey

	clock *Clock

	mu  sync.Mutex
	cas []*x509.Certificate // shown when it connected
}

// Apply makes the key of a node that wants to join with a token.
func Apply(name, pin string) (*Applicant, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return &Applicant{name: name, pin: pin, key: key, clock: system}, err
}

// Request is the certificate request, PKCS #10 in DER.
func (a *Applicant) Request() ([]byte, error) { return request(a.name, a.key) }

func request(name string, key *ecdsa.PrivateKey) ([]byte, error) {
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
}

// TLS is how it connects to a manager: without a certificate, and only to one of the authority that the token names.
func (a *Applicant) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, Time: a.clock.Now, InsecureSkipVerify: true, // VerifyConnection does it
		VerifyConnection: func(s tls.ConnectionState) error {
			at := slices.IndexFunc(s.PeerCertificates, func(c *x509.Certificate) bool { return pinOf(c.Raw) == a.pin })
			if at < 0 {
				return ErrAuthority
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			if err := a.clock.isManager(s.PeerCertificates[at:at+1], s.PeerCertificates); err != nil {
				return err
			}
			a.cas = shownBy(s.PeerCertificates)
			return nil
		}}
}

// Save keeps key and certificates in dir, from where Node reads them; for a manager the key of the authority, too.
func (a *Applicant) Save(dir string, certificate, authority []byte) error {
	cert, err := x509.ParseCertificate(certificate)
	if err != nil {
		return fmt.Errorf("certificate of this node: %w", err)
	}
	if !a.key.PublicKey.Equal(cert.PublicKey) {
		return errors.New("certificate of this node: it is for another key")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := SaveAuthority(dir, authority); err != nil {
		return err
	}
	if err := Believe(dir, textOf(a.cas)); err != nil {
		return err
	}
	if err := (pair{cert, a.key}).save(dir, nodeFile); err != nil {
		return err
	}
	a.clock.saw(cert.NotBefore)
	return a.clock.keep(dir)
}

// isManager tells whether what was shown is of a manager of the cluster of these authorities. At which address it is does not
// matter: machines at the edge change theirs.
func (c *Clock) isManager(believed, chain []*x509.Certificate) error {
	cert, roots := chain[0], append(endorsed(believed, chain[1:]), believed...)
	err := c.verify(cert, x509.VerifyOptions{Roots: pool(roots...), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, nil)
	if unknown := (x509.UnknownAuthorityError{}); errors.As(err, &unknown) {
		return ErrAuthority
	}
	if err == nil && !slices.Contains(cert.Subject.Organization, v1.RolePrefix+string(v1.RoleManager)) {
		err = errors.New("it is no manager")
	}
	return err
}

// Node is the identity of a node that has joined.
type Node struct {
	dir   string
	clock *Clock
	mu    sync.Mutex
	cas   []*x509.Certificate
	pair  pair
	fresh bool // renewed by this process
}

// OpenNode reads what Applicant.Save wrote.
func OpenNode(dir string) (*Node, error) {
	all, err := readAuthorities(dir)
	if err != nil {
		return nil, fmt.Errorf("keys in %s: %w", dir, err)
	}
	p, err := load(dir, nodeFile)
	if err != nil {
		return nil, fmt.Errorf("keys in %s: %w", dir, err)
	}
	system.load(dir)
	system.saw(p.cert.NotBefore)
	return &Node{dir: dir, cas: all, clock: system, pair: p}, nil
}

// reread takes in what was written by whoever else in this process has the same directory; what cannot be read stays.
func (n *Node) reread() {
	all, err := readAuthorities(n.dir)
	p, wrong := load(n.dir, nodeFile)
	n.mu.Lock()
	defer n.mu.Unlock()
	if err == nil {
		n.cas = all
	}
	if wrong == nil && p.key.Equal(n.pair.key) {
		n.pair.cert = p.cert
	}
}

// Outdated tells whether another authority signs now than the one whose certificate the node has.
func (n *Node) Outdated() bool {
	n.reread()
	n.mu.Lock()
	defer n.mu.Unlock()
	return soon(n.pair.cert, n.cas)
}

// Signer is the name of the authority whose certificate the node has; "" for one that is not believed.
func (n *Node) Signer() string {
	n.reread()
	n.mu.Lock()
	defer n.mu.Unlock()
	if ca := signerOf(n.pair.cert, n.cas); ca != nil {
		return pinOf(ca.Raw)
	}
	return ""
}

// TLS is how the node connects to managers. A renewed certificate is shown at the next connection, and authorities are those that
// are believed then.
func (n *Node) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, Time: n.clock.Now, InsecureSkipVerify: true, // VerifyConnection does it
		VerifyConnection: func(s tls.ConnectionState) error {
			n.reread()
			n.mu.Lock()
			all := n.cas
			n.mu.Unlock()
			return n.clock.isManager(all, s.PeerCertificates)
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			n.reread()
			n.mu.Lock()
			defer n.mu.Unlock()
			return &tls.Certificate{Certificate: [][]byte{n.pair.cert.Raw}, PrivateKey: n.pair.key}, nil
		}}
}

// Role is the one in the certificate.
func (n *Node) Role() v1.Role {
	n.mu.Lock()
	defer n.mu.Unlock()
	return roleOf(n.pair.cert)
}

// RenewIn is in how long the certificate should be renewed: at half of its life. On a machine whose clock is behind nobody knows how
// old it is: then it is as good as new when it has just been renewed, and otherwise due.
func (n *Node) RenewIn() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.pair.cert
	half := c.NotAfter.Sub(c.NotBefore) / 2
	if n.clock.Behind() {
		if n.fresh {
			return half
		}
		return 0
	}
	return c.NotBefore.Add(half).Sub(n.clock.Now())
}

// Expired tells whether the certificate has run out.
func (n *Node) Expired() bool { return n.clock.Now().After(n.Expires()) }

// Expires is when the certificate does.
func (n *Node) Expires() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.pair.cert.NotAfter
}

// Request is a certificate request for the key that the node has.
func (n *Node) Request() ([]byte, error) { return request(n.pair.cert.Subject.CommonName, n.pair.key) }

// Renewed keeps a new certificate for the same key.
func (n *Node) Renewed(certificate []byte) error {
	cert, err := x509.ParseCertificate(certificate)
	if err == nil && !n.pair.key.PublicKey.Equal(cert.PublicKey) {
		err = errors.New("it is for another key")
	}
	if err == nil {
		err = write(n.dir, nodeFile+".crt", "CERTIFICATE", cert.Raw)
	}
	if err != nil {
		return fmt.Errorf("renew certificate of this node: %w", err)
	}
	n.mu.Lock()
	n.pair.cert, n.fresh = cert, true
	n.mu.Unlock()
	n.clock.saw(cert.NotBefore)
	return n.clock.keep(n.dir)
}

// keyID tells the keys of nodes apart.
func keyID(key any) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), err
}
