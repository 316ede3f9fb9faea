// Package identity makes and reads the keys by which the two ends of a connection know each other: an authority of the
// cluster's own, a certificate for the node's API, one for whoever administers it, and those of nodes that joined with a token.
// All keys are ECDSA P-256, all files 0600, and TLS is 1.3 with certificates on both sides.
package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "warren.io/warren/apis/v1"
)

// The files of a directory of keys.
const (
	authorityFile = "ca"     // ca.crt, ca.key
	adminFile     = "admin"  // admin.crt, admin.key
	serverFile    = "server" // server.crt, server.key: what a manager shows
	nodeFile      = "node"   // node.crt, node.key: of a node that has joined
)

// lifetime of what is made here, that of the certificates of nodes that joined, and how much earlier they are valid: clocks at
// the edge are wrong.
const (
	lifetime     = 10 * 365 * 24 * time.Hour
	nodeLifetime = 90 * 24 * time.Hour
	backdate     = 24 * time.Hour
)

// pair is a certificate with its key.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// serverPair makes what a manager shows, or finds what it showed last where the authority's key cannot be had.
func serverPair(dir, node string, hosts []string) (own pair, ca *x509.Certificate, err error) {
	with, locked := authority(dir)
	if errors.Is(locked, errSealed) {
		all, err := readAuthorities(dir)
		if err == nil {
			own, err = load(dir, serverFile)
		}
		if err != nil {
			return own, nil, locked
		}
		if ca = signerOf(own.cert, all); ca == nil {
			ca = all[0]
		}
		return own, ca, nil
	}
	if locked != nil {
		return own, nil, locked
	}
	if admin, err := load(dir, adminFile); errors.Is(err, fs.ErrNotExist) || err == nil && soon(admin.cert, []*x509.Certificate{with.cert}) {
		if err := makeAdmin(dir, with); err != nil {
			return own, nil, err
		}
	}
	if own, err = issue(with, serverTemplate(node, hosts)); err != nil {
		return own, nil, fmt.Errorf("certificate for %s: %w", strings.Join(hosts, ", "), err)
	}
	return own, with.cert, own.save(dir, serverFile)
}

// Locked tells why the authority of dir cannot sign; nil where it can.
func Locked(dir string) error {
	_, err := authority(dir)
	return err
}

// visitor judges who comes to a manager: with a certificate of the authority, or without any. A node whose certificate has run out
// is let in, since it may renew it; the API sees to it that it can do nothing else.
func (c *Clock) visitor(s tls.ConnectionState, roots *x509.CertPool) error {
	if len(s.PeerCertificates) == 0 {
		return nil
	}
	return c.verify(s.PeerCertificates[0], x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, isNode)
}

func isNode(c *x509.Certificate) bool {
	role := roleOf(c)
	return role == v1.RoleWorker || role == v1.RoleManager
}

// Expired tells whether a certificate has run out.
func Expired(c *x509.Certificate) bool { return Now().After(c.NotAfter) }

// ClientConfig returns how an administrator connects, with the files that the node made: ca.crt, admin.crt, admin.key.
func ClientConfig(dir string) (*tls.Config, error) {
	all, err := readAuthorities(dir)
	if err != nil {
		return nil, fmt.Errorf("keys in %s: %w", dir, err)
	}
	admin, err := load(dir, adminFile)
	if err != nil {
		return nil, fmt.Errorf("keys in %s: %w", dir, err)
	}
	if err := usable(admin.cert, all); err != nil {
		return nil, fmt.Errorf("keys in %s: %w", dir, err)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: pool(all...), Time: Now,
		Certificates: []tls.Certificate{{Certificate: [][]byte{admin.cert.Raw}, PrivateKey: admin.key}},
	}, nil
}

// usable tells before anybody is asked what a node would refuse without a word that arrives for sure.
func usable(admin *x509.Certificate, all []*x509.Certificate) error {
	if signerOf(admin, all) == nil {
		return fmt.Errorf("%s.crt is not of the authority in %s.crt", adminFile, authorityFile)
	}
	if Expired(admin) {
		return fmt.Errorf("%s.crt has expired at %s", adminFile, admin.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// roleOf is what the holder of a certificate is; "" where it says nothing that is known, or several things.
func roleOf(c *x509.Certificate) v1.Role {
	if len(c.Subject.Organization) != 1 {
		return ""
	}
	role, _ := strings.CutPrefix(c.Subject.Organization[0], v1.RolePrefix)
	return v1.Role(role)
}

// authority reads the cluster's authority, or makes it. The key is written first: a certificate without a key would be of no
// use and in the way.
func authority(dir string) (pair, error) {
	ca, err := load(dir, authorityFile)
	if !errors.Is(err, fs.ErrNotExist) {
		return ca, err
	}
	if ca, _, err = sealedAuthority(dir); !errors.Is(err, fs.ErrNotExist) {
		return ca, err
	}
	// The key is written before the certificate, so no power cut leaves this; a new authority would lock all holders of keys out.
	if _, found := os.Stat(filepath.Join(dir, authorityFile+".crt")); found == nil {
		return pair{}, fmt.Errorf("%s.crt has lost its key; bring it back, or remove %s to begin anew: %w", authorityFile, dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return pair{}, err
	}
	if ca, err = issue(pair{}, authorityTemplate()); err != nil {
		return ca, err
	}
	return ca, ca.save(dir, authorityFile)
}

func makeAdmin(dir string, ca pair) error {
	t := template("admin", v1.RoleAdmin)
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	admin, err := issue(ca, t)
	if err != nil {
		return err
	}
	return admin.save(dir, adminFile)
}

func serverTemplate(node string, hosts []string) *x509.Certificate {
	t := template(node, v1.RoleManager)
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	t.DNSNames, t.IPAddresses = []string{"localhost", v1.ManagerName}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else if host != "" {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	return t
}

func template(name string, role v1.Role) *x509.Certificate {
	now := Now()
	t := &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-backdate), NotAfter: now.Add(lifetime)}
	if role != "" {
		t.Subject.Organization = []string{v1.RolePrefix + string(role)}
	}
	return t
}

// issue signs a certificate for a new key; without an authority it signs itself.
func issue(ca pair, t *x509.Certificate) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	if ca.key == nil {
		ca = pair{t, key}
	}
	cert, err := sign(ca, t, &key.PublicKey)
	return pair{cert, key}, err
}

// sign makes a certificate for somebody's public key.
func sign(ca pair, t *x509.Certificate, key any) (*x509.Certificate, error) {
	var err error
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, t, ca.cert, key, ca.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func load(dir, name string) (pair, error) {
	cert, err := readCert(filepath.Join(dir, name+".crt"))
	if err != nil {
		return pair{}, err
	}
	path := filepath.Join(dir, name+".key")
	block, err := readPEM(path)
	if err != nil {
		return pair{}, err
	}
	key, err := x509.ParseECPrivateKey(block)
	if err != nil {
		return pair{}, fmt.Errorf("%s: %w", path, err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return pair{}, fmt.Errorf("%s does not belong to %s.crt", path, name)
	}
	return pair{cert, key}, nil
}

func readCert(path string) (*x509.Certificate, error) {
	der, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func readPEM(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s is no PEM file", path)
	}
	return block.Bytes, nil
}
