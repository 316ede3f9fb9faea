package v1

import (
	"strconv"
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
	return map[string]*meta.Secret{"spec.key": &s.Key}
}

// Veil implements meta.Veiled.
func (s *AuthoritySpec) Veil() { s.DataKey = "" }

var authorityColumns = []meta.Column{
	column("GENERATION", func(a *Authority, _ time.Time) string { return strconv.FormatInt(a.Metadata.Generation, 10) }),
	column("AGE", func(a *Authority, now time.Time) string { return Age(a.Metadata.Created, now) }),
}
