package identity

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	v1 "warren.io/warren/apis/v1"
)

// Papers are what a user shows and believes, as PEM: the cluster's authority, of which there may be several while it is changed,
// his certificate and his key.
type Papers struct {
	CA          string `json:"ca"`
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
}

// Papers are those of an applicant who got a certificate.
func (a *Applicant) Papers(certificate []byte) (Papers, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.cas) == 0 {
		return Papers{}, ErrAuthority
	}
	p, err := Papers{CA: textOf(a.cas)}.with(certificate)
	if err != nil {
		return Papers{}, err
	}
	der, err := x509.MarshalECPrivateKey(a.key)
	if err != nil {
		return Papers{}, err
	}
	p.Key = text("EC PRIVATE KEY", der)
	_, err = p.Open() // they fit
	return p, err
}

func text(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func (p Papers) with(certificate []byte) (Papers, error) {
	if _, err := x509.ParseCertificate(certificate); err != nil {
		return p, fmt.Errorf("certificate of this user: %w", err)
	}
	p.Certificate = text("CERTIFICATE", certificate)
	return p, nil
}

// Pin is the name of the cluster's authority, as tokens have it; "" where there is none.
func (p Papers) Pin() string {
	if block, _ := pem.Decode([]byte(p.CA)); block != nil {
		return pinOf(block.Bytes)
	}
	return ""
}

// User is somebody with papers that fit each other.
type User struct {
	papers Papers
	cas    []*x509.Certificate
	pair   pair
	shown  atomic.Pointer[string] // what the manager says is to be believed
}

// Outdated tells whether the cluster has, or is getting, another authority: then papers are to be renewed. Nobody knows before a
// manager was connected to.
func (u *User) Outdated() bool {
	shown := u.shown.Load()
	return shown != nil && *shown != "" && *shown != textOf(u.cas)
}

// Open reads papers, and sees whether they fit each other.
func (p Papers) Open() (*User, error) {
	u := &User{papers: p}
	var err error
	if u.cas, err = parse(p.CA); err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	cert, _ := pem.Decode([]byte(p.Certificate))
	key, _ := pem.Decode([]byte(p.Key))
	switch {
	case cert == nil:
		return nil, errors.New("certificate: it is none in PEM")
	case key == nil:
		return nil, errors.New("key: it is none in PEM")
	}
	if u.pair.cert, err = x509.ParseCertificate(cert.Bytes); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if u.pair.key, err = x509.ParseECPrivateKey(key.Bytes); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	if !u.pair.key.PublicKey.Equal(u.pair.cert.PublicKey) {
		return nil, errors.New("the key does not belong to the certificate")
	}
	return u, nil
}

// TLS is how a user connects to managers, at whatever address they are.
func (u *User) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, Time: Now, InsecureSkipVerify: true, // VerifyConnection does it
		VerifyConnection: func(s tls.ConnectionState) (err error) {
			if err = system.isManager(u.cas, s.PeerCertificates); err == nil {
				shown := textOf(shownBy(s.PeerCertificates))
				u.shown.Store(&shown)
			}
			return err
		},
		Certificates: []tls.Certificate{{Certificate: [][]byte{u.pair.cert.Raw}, PrivateKey: u.pair.key}}}
}

// Name is the user's in the cluster.
func (u *User) Name() string { return u.pair.cert.Subject.CommonName }

// Role is what the user was when the certificate was made; the cluster may know better.
func (u *User) Role() v1.Role {
	for _, o := range u.pair.cert.Subject.Organization {
		return v1.Role(o[min(len(o), len(v1.RolePrefix)):])
	}
	return ""
}

// Expires is when the certificate does.
func (u *User) Expires() time.Time { return u.pair.cert.NotAfter }

// RenewIn is how long from now the certificate should be renewed: at half of its life.
func (u *User) RenewIn(now time.Time) time.Duration {
	c := u.pair.cert
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 2).Sub(now)
}

// Request is a certificate request for the key that the user has.
func (u *User) Request() ([]byte, error) { return request(u.Name(), u.pair.key) }

// Renewed are the papers with a new certificate for the same key.
func (u *User) Renewed(certificate []byte) (Papers, error) {
	p, err := u.papers.with(certificate)
	if u.Outdated() {
		p.CA = *u.shown.Load()
	}
	if err != nil {
		return p, err
	}
	next, err := p.Open()
	if err == nil && next.Expires().Before(u.Expires()) {
		err = errors.New("the new certificate holds less long than the old one")
	}
	return p, err
}
