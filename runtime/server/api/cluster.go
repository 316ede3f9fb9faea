package api

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative cluster.proto

import "time"

// NodeHeader names in a call's metadata the node that it is for, where that is not the one that is asked.
const NodeHeader = "warren-node"

// StaleTrailer says at the end of an answer that it may be old, and why.
const StaleTrailer = "warren-stale"

// TokenWish asks for a token.
type TokenWish struct {
	Role string
	TTL  time.Duration
	Uses int
	User string // who logs in by it, where that is settled
}

// NewToken is a token that was just made.
type NewToken struct {
	Text    string // the one time that it is shown
	ID      string
	Expires time.Time
	Address string // of the manager, where it knows by which others reach it
}

// Joining is what a machine says that wants to become a node.
type Joining struct {
	Token, Name string
	CSR         []byte // PKCS #10, DER
	Address     string // HOST:PORT at which managers reach it; needed to become one
}

// Joined is what it gets.
type Joined struct {
	Certificate []byte // DER
	Cluster     string // id
	Role        string
	Authority   []byte   // of a manager: the authority as it is stored, and what opens it
	Managers    []string // HOST:PORT
}

// Renewed is a new certificate.
type Renewed struct {
	Certificate []byte // DER
	Role        string // which may be another than that of the old one
	Authority   []byte // of a manager: the authority as it is stored, and what opens it
}

// PlaceWish asks for room among those that keep the store, or to be found at another address.
type PlaceWish struct {
	Address string // HOST:PORT
	Replace bool   // what this node has kept is lost, and its old place is given up
	Moved   bool   // it is a member already
}

// Place is room for a new member among those that keep the store.
type Place struct {
	ID    uint64
	Peers []string // HOST:PORT of the other members
}

// MemberState is what one manager knows of another, or of itself.
type MemberState struct {
	Name      string `json:"name"`
	Address   string `json:"address,omitempty"` // HOST:PORT
	Leader    bool   `json:"leader"`
	Voter     bool   `json:"voter"` // false while it is receiving the store
	Reachable bool   `json:"reachable"`
	Detail    string `json:"detail,omitempty"` // of the one that was asked: what is wrong, or will be
}

// ToManagers makes an answer for the wire.
func ToManagers(all []MemberState) *ManagersResponse {
	r := &ManagersResponse{}
	for _, m := range all {
		r.Managers = append(r.Managers, &Manager{Name: m.Name, Address: m.Address, Leader: m.Leader, Voter: m.Voter, Reachable: m.Reachable, Detail: m.Detail})
	}
	return r
}

// States is the answer as the rest of Warren knows it.
func (r *ManagersResponse) States() (out []MemberState) {
	for _, m := range r.GetManagers() {
		out = append(out, MemberState{Name: m.GetName(), Address: m.GetAddress(), Leader: m.GetLeader(), Voter: m.GetVoter(), Reachable: m.GetReachable(), Detail: m.GetDetail()})
	}
	return out
}

// ToTokenWish makes a request for the wire.
func ToTokenWish(t TokenWish) *CreateTokenRequest {
	return &CreateTokenRequest{Role: t.Role, TtlNanos: int64(t.TTL), Uses: int64(t.Uses), User: t.User}
}

// Wish is the request as the rest of Warren knows it.
func (r *CreateTokenRequest) Wish() TokenWish {
	return TokenWish{Role: r.GetRole(), TTL: time.Duration(r.GetTtlNanos()), Uses: int(r.GetUses()), User: r.GetUser()}
}

// ToNewToken makes an answer for the wire.
func ToNewToken(t NewToken) *CreateTokenResponse {
	return &CreateTokenResponse{Token: t.Text, Id: t.ID, ExpiresNanos: t.Expires.UnixNano(), Address: t.Address}
}

// New is the token as the rest of Warren knows it.
func (r *CreateTokenResponse) New() NewToken {
	return NewToken{Text: r.GetToken(), ID: r.GetId(), Expires: time.Unix(0, r.GetExpiresNanos()).UTC(), Address: r.GetAddress()}
}

// ToJoining makes a request for the wire.
func ToJoining(j Joining) *JoinRequest {
	return &JoinRequest{Token: j.Token, Name: j.Name, Csr: j.CSR, Address: j.Address}
}

// Joining is the request as the rest of Warren knows it.
func (r *JoinRequest) Joining() Joining {
	return Joining{Token: r.GetToken(), Name: r.GetName(), CSR: r.GetCsr(), Address: r.GetAddress()}
}

// ToJoined makes an answer for the wire.
func ToJoined(j Joined) *JoinResponse {
	return &JoinResponse{Certificate: j.Certificate, Cluster: j.Cluster, Role: j.Role, Authority: j.Authority, Managers: j.Managers}
}

// Joined is the answer as the rest of Warren knows it.
func (r *JoinResponse) Joined() Joined {
	return Joined{Certificate: r.GetCertificate(), Cluster: r.GetCluster(), Role: r.GetRole(), Authority: r.GetAuthority(), Managers: r.GetManagers()}
}
