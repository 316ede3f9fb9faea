package api

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative cluster.proto

import "time"

// NodeHeader names in a call's metadata the node that it is for, where that is not the one that is asked.
const NodeHeader = "warren-node"

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
}

// Joined is what it gets.
type Joined struct {
	Certificate []byte // DER
	Cluster     string // id
	Role        string
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
func ToJoining(j Joining) *JoinRequest { return &JoinRequest{Token: j.Token, Name: j.Name, Csr: j.CSR} }

// Joining is the request as the rest of Warren knows it.
func (r *JoinRequest) Joining() Joining {
	return Joining{Token: r.GetToken(), Name: r.GetName(), CSR: r.GetCsr()}
}

// ToJoined makes an answer for the wire.
func ToJoined(j Joined) *JoinResponse {
	return &JoinResponse{Certificate: j.Certificate, Cluster: j.Cluster, Role: j.Role}
}

// Joined is the answer as the rest of Warren knows it.
func (r *JoinResponse) Joined() Joined {
	return Joined{Certificate: r.GetCertificate(), Cluster: r.GetCluster(), Role: r.GetRole()}
}
