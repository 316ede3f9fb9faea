package server

import (
	"context"
	"crypto/x509"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"warren.io/warren/runtime/server/api"
	"warren.io/warren/runtime/store"
)

// What nodes and those who admit them say.
type (
	TokenWish = api.TokenWish
	NewToken  = api.NewToken
	Joining   = api.Joining
	Joined    = api.Joined
	LoggingIn = api.LoggingIn
	LoggedIn  = api.LoggedIn
	Pipe      = api.Pipe
	Renewed   = api.Renewed
	Place     = api.Place
	PlaceWish = api.PlaceWish
	// MemberState is what one manager knows of another.
	MemberState = api.MemberState
)

// Standing is what the certificate of a node is worth.
type Standing int

// The standings of a node.
const (
	Good      Standing = iota
	Expired            // it has run out; that of a node which is one may still be renewed
	Dismissed          // the node was removed, or its name is now that of another machine
)

// Members are the other nodes, from the side of a manager.
type Members interface {
	CreateToken(ctx context.Context, w TokenWish) (NewToken, error)
	Join(ctx context.Context, j Joining) (Joined, error)
	// Login makes somebody a user.
	Login(ctx context.Context, l LoggingIn) (LoggedIn, error)
	// RenewUser makes a certificate for the user who asks.
	RenewUser(ctx context.Context, user string, csr []byte) ([]byte, error)
	// Renew makes a certificate for the node that asks.
	Renew(ctx context.Context, node string, csr []byte) (Renewed, error)
	// Heard is told of each sign of life.
	Heard(node string)
	// Addresses are where all managers are reached, HOST:PORT, sorted; none where that is not known. An error is why nodes are
	// to turn to another manager than this one. It is asked with each sign of life, and answers from memory.
	Addresses() ([]string, error)
	// Reached takes a connection on which the API of a node answers. It is not used after it returned.
	Reached(ctx context.Context, node string, c *Pipe) error
	// Standing is what the certificate of a node is worth now. It is asked at each call.
	Standing(ctx context.Context, cert *x509.Certificate) (Standing, error)
	// Impostor tells, from memory, whether another key than that of a certificate is known of its node.
	Impostor(cert *x509.Certificate) bool
	// Scope is the store as a worker sees and writes it.
	Scope(node string) store.Store
	// Dismissed is the store as a node sees it that is none any more: enough to know that nothing in it is its own.
	Dismissed(node string) store.Store
	// Place makes room among the managers for a node that may be one, at an address.
	Place(ctx context.Context, node string, w PlaceWish) (Place, error)
	// IsManager tells whether a node is one of those that keep the store.
	IsManager(node string) bool
	// Relayed is told of signs of life that another manager heard. It fails where this one does not lead.
	Relayed(nodes []string) error
	// Managers tells how the managers are; with certain a majority confirms who they are.
	Managers(ctx context.Context, certain bool) ([]MemberState, error)
}

// ForNode is the node that a call is for, "" for the one that is asked.
func ForNode(ctx context.Context) string {
	if names := metadata.ValueFromIncomingContext(ctx, api.NodeHeader); len(names) == 1 {
		return names[0]
	}
	return ""
}

// members is the API's gRPC side for nodes.
type members struct {
	api.UnimplementedMembershipServer
	*Server
}

func (m members) desk() (Members, error) {
	if m.config.Members == nil {
		return nil, notServed("joining")
	}
	return m.config.Members, nil
}

// CreateToken implements the API.
func (m members) CreateToken(ctx context.Context, r *api.CreateTokenRequest) (*api.CreateTokenResponse, error) {
	desk, err := m.desk()
	if err != nil {
		return nil, err
	}
	t, err := desk.CreateToken(ctx, r.Wish())
	return api.ToNewToken(t), err
}

// Join implements the API.
func (m members) Join(ctx context.Context, r *api.JoinRequest) (*api.JoinResponse, error) {
	desk, err := m.desk()
	if err != nil {
		return nil, err
	}
	j, err := desk.Join(ctx, r.Joining())
	return api.ToJoined(j), err
}

// Login implements the API.
func (m members) Login(ctx context.Context, r *api.LoginRequest) (*api.LoginResponse, error) {
	desk, err := m.desk()
	if err != nil {
		return nil, err
	}
	l, err := desk.Login(ctx, r.LoggingIn())
	return api.ToLoggedIn(l), err
}

// Whoami implements the API.
func (m members) Whoami(ctx context.Context, _ *api.WhoamiRequest) (*api.WhoamiResponse, error) {
	who := callerOf(ctx)
	return &api.WhoamiResponse{Name: who.name, Role: string(who.role), User: who.user}, nil
}

// Renew implements the API.
func (m members) Renew(ctx context.Context, r *api.RenewRequest) (*api.RenewResponse, error) {
	desk, err := m.desk()
	if err != nil {
		return nil, err
	}
	who := callerOf(ctx)
	if who.user {
		cert, err := desk.RenewUser(ctx, who.name, r.GetCsr())
		return &api.RenewResponse{Certificate: cert}, err
	}
	n, err := desk.Renew(ctx, who.name, r.GetCsr())
	return &api.RenewResponse{Certificate: n.Certificate, Role: n.Role, Authority: n.Authority}, err
}

// Place implements the API.
func (m members) Place(ctx context.Context, r *api.PlaceRequest) (*api.PlaceResponse, error) {
	desk, err := m.desk()
	if err != nil {
		return nil, err
	}
	p, err := desk.Place(ctx, callerOf(ctx).name, PlaceWish{Address: r.GetAddress(), Replace: r.GetReplace(), Moved: r.GetMoved()})
	return &api.PlaceResponse{Id: p.ID, Peers: p.Peers}, err
}

// Relay implements the API.
func (m members) Relay(_ context.Context, r *api.RelayRequest) (*api.RelayResponse, error) {
	desk, err := m.desk()
	if err != nil {
		return nil, err
	}
	return &api.RelayResponse{}, desk.Relayed(r.GetNodes())
}

// Managers implements the API.
func (m members) Managers(ctx context.Context, r *api.ManagersRequest) (*api.ManagersResponse, error) {
	desk, err := m.desk()
	if err != nil {
		return nil, err
	}
	all, err := desk.Managers(ctx, r.GetCertain())
	return api.ToManagers(all), err
}

// Heartbeat implements the API.
func (m members) Heartbeat(stream grpc.BidiStreamingServer[api.HeartbeatRequest, api.HeartbeatResponse]) error {
	desk, err := m.desk()
	if err != nil {
		return err
	}
	ctx, done := m.open(stream.Context())
	defer done()
	heard := make(chan error)
	go func() {
		for {
			_, err := stream.Recv()
			select {
			case heard <- err:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	var told []string
	for node := callerOf(ctx).name; ; {
		select {
		case err := <-heard:
			if err != nil {
				return ignore(err)
			}
			desk.Heard(node)
			managers, err := desk.Addresses()
			if err != nil {
				return err
			}
			answer := &api.HeartbeatResponse{}
			if !slices.Equal(managers, told) {
				told, answer.Managers = managers, managers
			}
			if err := stream.Send(answer); err != nil {
				return err
			}
		case <-ctx.Done():
			return endOf(ctx)
		}
	}
}

// Reach implements the API.
func (m members) Reach(stream grpc.BidiStreamingServer[api.ReachPiece, api.ReachPiece]) error {
	desk, err := m.desk()
	if err != nil {
		return err
	}
	ctx, done := m.open(stream.Context())
	defer done()
	node := callerOf(ctx).name
	c := api.NewPipe(node, stream.Recv, stream.Send, done)
	defer c.Close()
	return desk.Reached(ctx, node, c)
}
