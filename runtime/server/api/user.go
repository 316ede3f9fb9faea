package api

// LoggingIn is what somebody says who wants to become a user.
type LoggingIn struct {
	Token string
	User  string // empty where the token says it
	CSR   []byte // PKCS #10, DER
}

// LoggedIn is what he gets.
type LoggedIn struct {
	Certificate []byte // DER
	Cluster     string // id
	Role, User  string
}

// Self is what the cluster knows of a caller.
type Self struct {
	Name, Role string
	User       bool // and not the manager's own key or somebody on its machine
}

// ToLogin makes a request for the wire.
func ToLogin(l LoggingIn) *LoginRequest {
	return &LoginRequest{Token: l.Token, User: l.User, Csr: l.CSR}
}

// LoggingIn is the request as the rest of Warren knows it.
func (r *LoginRequest) LoggingIn() LoggingIn {
	return LoggingIn{Token: r.GetToken(), User: r.GetUser(), CSR: r.GetCsr()}
}

// ToLoggedIn makes an answer for the wire.
func ToLoggedIn(l LoggedIn) *LoginResponse {
	return &LoginResponse{Certificate: l.Certificate, Cluster: l.Cluster, Role: l.Role, User: l.User}
}

// LoggedIn is the answer as the rest of Warren knows it.
func (r *LoginResponse) LoggedIn() LoggedIn {
	return LoggedIn{Certificate: r.GetCertificate(), Cluster: r.GetCluster(), Role: r.GetRole(), User: r.GetUser()}
}

// Self is the answer as the rest of Warren knows it.
func (r *WhoamiResponse) Self() Self {
	return Self{Name: r.GetName(), Role: r.GetRole(), User: r.GetUser()}
}
