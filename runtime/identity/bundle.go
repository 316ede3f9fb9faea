package identity

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/seal"
	"warren.io/warren/runtime/store"
)

// parse reads certificates in PEM, at least one.
func parse(text string) (out []*x509.Certificate, err error) {
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, errors.New("it is no certificate in PEM")
	}
	return out, nil
}

func textOf(all []*x509.Certificate) (out string) {
	for _, c := range all {
		out += text("CERTIFICATE", c.Raw)
	}
	return out
}

// readAuthorities reads those that are believed in dir: one, or several while it is replaced; the one that signs first.
func readAuthorities(dir string) ([]*x509.Certificate, error) {
	path := filepath.Join(dir, authorityFile+".crt")
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	all, err := parse(string(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return all, nil
}

// Believe makes dir believe these authorities, in PEM, and no others.
func Believe(dir, authorities string) error {
	if _, err := parse(authorities); err != nil {
		return fmt.Errorf("authorities of the cluster: %w", err)
	}
	if was, err := os.ReadFile(filepath.Join(dir, authorityFile+".crt")); err == nil && bytes.Equal(was, []byte(authorities)) {
		return nil
	}
	return replace(dir, authorityFile+".crt", []byte(authorities))
}

// Believed are the names of the authorities that dir believes, sorted and with commas; "" where there are none.
func Believed(dir string) string {
	all, err := readAuthorities(dir)
	if err != nil {
		return ""
	}
	pins := v1.Pins(textOf(all))
	slices.Sort(pins)
	return strings.Join(pins, ",")
}

// align makes a manager believe what the Authority that it has sealed says: it may have been killed before it wrote that down. It
// returns how the older of two authorities vouches for the newer one, nil where there is one only.
func align(dir string) (endorsement *x509.Certificate, err error) {
	data, err := os.ReadFile(filepath.Join(dir, sealedFile))
	if err != nil {
		return nil, nil // its own key is there, or nothing is
	}
	a := meta.New[v1.Authority]("")
	if err := json.Unmarshal(data, a); err != nil || a.Spec.Certificate == "" {
		return nil, nil // whoever opens it says what is wrong
	}
	if err := Believe(dir, a.Spec.Believed()); err != nil || a.Spec.Endorsement == "" {
		return nil, err
	}
	all, err := parse(a.Spec.Endorsement)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// signerOf is the one of several authorities that has signed a certificate, nil for none of them.
func signerOf(cert *x509.Certificate, all []*x509.Certificate) *x509.Certificate {
	for _, ca := range all {
		if cert.CheckSignatureFrom(ca) == nil {
			return ca
		}
	}
	return nil
}

func pool(all ...*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range all {
		p.AddCert(c)
	}
	return p
}

// endorsed are authorities for which one that is believed vouches, of what a manager shows. The authorities sign nothing else that
// could sign. (They may have no intermediates below them, so nobody but who looks here believes these.)
func endorsed(believed, shown []*x509.Certificate) (out []*x509.Certificate) {
	for _, c := range shown {
		if c.IsCA && c.BasicConstraintsValid && signerOf(c, believed) != nil {
			out = append(out, c)
		}
	}
	return out
}

// shownBy are the authorities that a manager says are believed. Whoever has verified the manager may believe them, too.
func shownBy(chain []*x509.Certificate) (out []*x509.Certificate) {
	for _, c := range chain[1:] {
		if c.IsCA && c.CheckSignatureFrom(c) == nil {
			out = append(out, c)
		}
	}
	return out
}

func authorityTemplate() *x509.Certificate {
	t := template("warren", "")
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign
	t.MaxPathLenZero = true
	return t
}

// Rotation makes and opens authorities for the controller that replaces them.
type Rotation struct{ Ring *seal.Ring }

// Open returns an Authority with its keys.
func (r Rotation) Open(a *v1.Authority) (*v1.Authority, error) {
	o := store.Opened(a.Clone(), r.Ring).(*v1.Authority)
	if o.Spec.Key.Plain == nil || o.Spec.Next != "" && o.Spec.NextKey.Plain == nil {
		return nil, fmt.Errorf("%w here: %w", errSealed, seal.ErrLocked)
	}
	return o, nil
}

// Make makes a new authority, for which the present one vouches.
func (Rotation) Make(opened *v1.Authority) (certificate, endorsement string, key []byte, err error) {
	old, err := pairOf(opened.Spec.Certificate, opened.Spec.Key.Plain)
	if err != nil {
		return "", "", nil, err
	}
	ca, err := issue(pair{}, authorityTemplate())
	if err != nil {
		return "", "", nil, err
	}
	vouches, err := sign(old, authorityTemplate(), &ca.key.PublicKey)
	if err != nil {
		return "", "", nil, err
	}
	key, err = x509.MarshalECPrivateKey(ca.key)
	return text("CERTIFICATE", ca.cert.Raw), text("CERTIFICATE", vouches.Raw), key, err
}

// soon tells whether a certificate is to be renewed since another authority signs now.
func soon(cert *x509.Certificate, all []*x509.Certificate) bool {
	return len(all) > 0 && cert.CheckSignatureFrom(all[0]) != nil
}
