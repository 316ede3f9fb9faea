package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	v1 "warren.io/warren/apis/v1"
)

// Member are the files by which a manager shows itself to the other managers, in PEM.
type Member struct{ Cert, Key, CA string }

// OpenMember returns those of dir. The first manager of a cluster, which did not join, and one that has the authority's key
// and a certificate that runs out or is not a manager's, makes it here. It also returns the SHA-256 of its public key.
func OpenMember(dir, name string) (m Member, id string, err error) {
	m = Member{Cert: filepath.Join(dir, nodeFile+".crt"), Key: filepath.Join(dir, nodeFile+".key"), CA: filepath.Join(dir, authorityFile+".crt")}
	p, err := load(dir, nodeFile)
	if errors.Is(err, fs.ErrNotExist) {
		p.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return m, "", fmt.Errorf("keys in %s: %w", dir, err)
	}
	if _, err := align(dir); err != nil {
		return m, "", fmt.Errorf("keys in %s: %w", dir, err)
	}
	if p.cert == nil || replaced(dir, p.cert) || !slices.Contains(p.cert.DNSNames, v1.ManagerName) || p.cert.NotAfter.Sub(Now()) < nodeLifetime/2 {
		err := certify(dir, name, p)
		if p.cert != nil && errors.Is(err, errSealed) {
			err = nil // what is there goes on until somebody unlocks the authority
		}
		if err != nil {
			return m, "", fmt.Errorf("keys in %s: %w", dir, err)
		}
	}
	id, err = keyID(&p.key.PublicKey)
	return m, id, err
}

// replaced tells whether another authority signs now. Who has the key of none does not know.
func replaced(dir string, cert *x509.Certificate) bool {
	if _, err := os.Stat(filepath.Join(dir, sealedFile)); err != nil {
		return false
	}
	ca, err := authority(dir)
	return err == nil && soon(cert, []*x509.Certificate{ca.cert})
}

func certify(dir, name string, p pair) error {
	ca, err := authority(dir)
	if err != nil {
		return err
	}
	t := nodeTemplate(name, v1.RoleManager, Now())
	if p.cert, err = sign(ca, t, &p.key.PublicKey); err != nil {
		return err
	}
	return p.save(dir, nodeFile)
}

// nodeTemplate is the certificate of a node, by which a manager is also known as one to whoever calls it.
func nodeTemplate(name string, role v1.Role, now time.Time) *x509.Certificate {
	t := template(name, role)
	t.NotBefore, t.NotAfter = now.Add(-backdate), now.Add(nodeLifetime)
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if role == v1.RoleManager {
		t.ExtKeyUsage, t.DNSNames = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth), []string{v1.ManagerName}
	}
	return t
}
