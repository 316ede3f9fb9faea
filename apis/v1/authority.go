package v1

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/pem"
	"strconv"
	"strings"
	"time"

	"warren.io/warren/apis/meta"
)

// Authority is what vouches for all that belong to the cluster. There is one, made with the first manager that others can reach;
// the managers write it, nobody else does.
type Authority = meta.Resource[AuthoritySpec, AuthorityStatus]

// AuthorityName is the name of the one Authority.
const AuthorityName = "cluster"

// AuthoritySpec is written by the managers.
type AuthoritySpec struct {
	// Certificate is in PEM. Its key signs the certificates of nodes and people.
	Certificate string `json:"certificate"`
	// Key signs. It is stored sealed, and not shown.
	Key meta.Secret `json:"key,omitzero"`
	// Number counts how often it was replaced: 0 is the one that the cluster began with.
	Number int `json:"number,omitempty"`
	// Next, in PEM, is the one that is to sign after this one. It is believed already.
	Next string `json:"next,omitempty"`
	// NextKey is its key. It is stored sealed, and not shown.
	NextKey meta.Secret `json:"nextKey,omitzero"`
	// Former, in PEM, is the one that signed before this one. It is still believed.
	Former string `json:"former,omitempty"`
	// Endorsement, in PEM, says of the newer of two that the older one vouches for it.
	Endorsement string `json:"endorsement,omitempty"`
	// DataKey is what all secrets of the cluster are sealed with, itself sealed with the unlock key. It is not shown.
	DataKey string `json:"dataKey,omitempty"`
}

// AuthorityStatus is empty in this release.
type AuthorityStatus struct{}

// Kind implements meta.Spec.
func (*AuthoritySpec) Kind() string { return "Authority" }

// Default implements meta.Spec.
func (*AuthoritySpec) Default() {}

// Validate implements meta.Spec.
func (*AuthoritySpec) Validate(*meta.Problems, string) {}

// Secrets implements meta.Secretive.
func (s *AuthoritySpec) Secrets() map[string]*meta.Secret {
	return map[string]*meta.Secret{"spec.key": &s.Key, "spec.nextKey": &s.NextKey}
}

// Believed are all certificates that vouch for somebody, in PEM: the one that signs first.
func (s *AuthoritySpec) Believed() string { return s.Certificate + s.Next + s.Former }

// Pins are the names of authorities by their content, of a text in PEM, in its order.
func Pins(text string) (out []string) {
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return out
		}
		out = append(out, PinOf(block.Bytes))
	}
}

// pinSize is how many characters of base32 a name has: 130 bits.
const pinSize = 26

// PinOf is the name of an authority by the content of its certificate, in DER.
func PinOf(cert []byte) string {
	sum := sha256.Sum256(cert)
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:pinSize]
}

// Veil implements meta.Veiled.
func (s *AuthoritySpec) Veil() { s.DataKey = "" }

var authorityColumns = []meta.Column{
	column("NUMBER", func(a *Authority, _ time.Time) string { return strconv.Itoa(a.Spec.Number) }),
	column("GENERATION", func(a *Authority, _ time.Time) string { return strconv.FormatInt(a.Metadata.Generation, 10) }),
	column("AGE", func(a *Authority, now time.Time) string { return Age(a.Metadata.Created, now) }),
}
