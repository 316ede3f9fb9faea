package v1

import (
	"fmt"
	"slices"
	"time"

	"warren.io/warren/apis/meta"
)

// Token lets machines join and people log in. Its name is no secret; of the secret only a hash is kept.
type Token = meta.Resource[TokenSpec, TokenStatus]

// TokenSpec is set when the token is made.
type TokenSpec struct {
	// Role is what a machine becomes, worker or manager; or a person, viewer, operator or admin.
	Role Role `json:"role"`
	// User is who logs in by it. Without that, each who does says a name that is new.
	User string `json:"user,omitempty"`
	// Hash is the SHA-256 of the secret, in hex.
	Hash string `json:"hash"`
	// Expires is until when it may be used.
	Expires time.Time `json:"expires"`
	// Uses is how many machines may join, or people log in by it.
	Uses int `json:"uses"`
}

// TokenStatus is written when it is used.
type TokenStatus struct {
	// Used is how often it was.
	Used int `json:"used"`
}

// Role is what the holder of a certificate is. It stands in the certificate's organization, behind RolePrefix.
type Role string

// The roles.
const (
	RoleAdmin   Role = "admin"
	RoleManager Role = "manager"
	RoleWorker  Role = "worker"
)

// nodeRoles are those that machines have.
var nodeRoles = []string{string(RoleManager), string(RoleWorker)}

// RolePrefix comes before a role in the organization of a certificate.
const RolePrefix = "warren:"

// ManagerName is the DNS name in the certificates of managers, and of nobody else.
const ManagerName = "manager.warren.internal"

// Bounds of a token.
const (
	MaxTokenUses = 10_000
	MaxTokenTTL  = 365 * 24 * time.Hour
)

// Kind implements meta.Spec.
func (*TokenSpec) Kind() string { return "Token" }

// Default implements meta.Spec.
func (*TokenSpec) Default() {}

// Validate implements meta.Spec.
func (s *TokenSpec) Validate(p *meta.Problems, at string) {
	if !contains(nodeRoles, string(s.Role)) && !s.Role.OfPeople() {
		p.Add(at+".role", "%s", oneOf(string(s.Role), append(slices.Clone(nodeRoles), string(RoleViewer), string(RoleOperator), string(RoleAdmin))))
	}
	switch why := meta.CheckName(s.User); {
	case s.User == "":
	case !s.Role.OfPeople():
		p.Add(at+".user", "is for people, and a %s is a machine", s.Role)
	case why != "":
		p.Add(at+".user", "%s", why)
	case s.User == AdminName:
		p.Add(at+".user", "%q is the name of the key that the first manager made; choose another", AdminName)
	}
	if s.Uses < 1 || s.Uses > MaxTokenUses {
		p.Add(at+".uses", "must be 1 to %d, not %d", MaxTokenUses, s.Uses)
	}
}

// TokenState is the one word that says whether a token can be used: Valid, Used or Expired.
func TokenState(t *Token, now time.Time) string {
	switch {
	case t.Status.Used >= t.Spec.Uses:
		return "Used"
	case !now.Before(t.Spec.Expires):
		return "Expired"
	}
	return "Valid"
}

var tokenColumns = []meta.Column{
	column("ROLE", func(t *Token, _ time.Time) string { return string(t.Spec.Role) }),
	column("STATE", func(t *Token, now time.Time) string { return TokenState(t, now) }),
	column("USED", func(t *Token, _ time.Time) string { return fmt.Sprintf("%d/%d", t.Status.Used, t.Spec.Uses) }),
	column("EXPIRES", func(t *Token, _ time.Time) string { return t.Spec.Expires.UTC().Format(time.RFC3339) }),
	column("AGE", func(t *Token, now time.Time) string { return Age(t.Metadata.Created, now) }),
}
