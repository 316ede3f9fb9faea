package v1

import (
	"slices"
	"time"

	"warren.io/warren/apis/meta"
)

// User is a person who has logged in. Removing it ends what the person may do at once.
type User = meta.Resource[UserSpec, UserStatus]

// UserSpec is set when the person logs in; the role may be changed later, by an administrator.
type UserSpec struct {
	// Role is what the person may do: viewer, operator or admin.
	Role Role `json:"role"`
}

// UserStatus is written when the person logs in.
type UserStatus struct {
	// Identity is the SHA-256 of the public key that the person logged in with, in hex.
	Identity string `json:"identity,omitempty"`
	// LoggedIn is when that was.
	LoggedIn time.Time `json:"loggedIn,omitzero"`
	// Signer is the name of the authority that signed the newest certificate; left out where that is not known.
	Signer string `json:"signer,omitempty"`
}

// The roles of people.
const (
	RoleViewer   Role = "viewer"
	RoleOperator Role = "operator"
)

// AdminName is the name in the certificate that the first manager makes for whoever administers it. No User has it: that key
// is good without one.
const AdminName = "admin"

// People are the roles of people, each of which may do what those before it may.
var People = []Role{RoleViewer, RoleOperator, RoleAdmin}

// OfPeople tells whether a role is one of a person, and not of a machine.
func (r Role) OfPeople() bool { return slices.Contains(People, r) }

// AtLeast tells whether somebody with this role may do what takes another one.
func (r Role) AtLeast(other Role) bool {
	return r.OfPeople() && other.OfPeople() && slices.Index(People, r) >= slices.Index(People, other)
}

// Kind implements meta.Spec.
func (*UserSpec) Kind() string { return "User" }

// Default implements meta.Spec.
func (*UserSpec) Default() {}

// Validate implements meta.Spec.
func (s *UserSpec) Validate(p *meta.Problems, at string) {
	if !s.Role.OfPeople() {
		p.Add(at+".role", "%s", oneOf(string(s.Role), []string{string(RoleViewer), string(RoleOperator), string(RoleAdmin)}))
	}
}

var userColumns = []meta.Column{
	column("ROLE", func(u *User, _ time.Time) string { return string(u.Spec.Role) }),
	column("LOGGED IN", func(u *User, now time.Time) string { return Age(u.Status.LoggedIn, now) }),
	column("AGE", func(u *User, now time.Time) string { return Age(u.Metadata.Created, now) }),
}
