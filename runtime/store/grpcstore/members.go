package grpcstore

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/server/api"
)

// What nodes and those who admit them say.
type (
	TokenWish = api.TokenWish
	NewToken  = api.NewToken
	Joining   = api.Joining
	Joined    = api.Joined
	LoggingIn = api.LoggingIn
	LoggedIn  = api.LoggedIn
	Self      = api.Self
	Renewed   = api.Renewed
	Place     = api.Place
	PlaceWish = api.PlaceWish
	// MemberState is what one manager knows of another.
	MemberState = api.MemberState
)

// ForNode returns a context for calls about images and usage of another node than the one that is asked, which passes them on.
func ForNode(ctx context.Context, node string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, api.NodeHeader, node)
}

// CreateToken makes a token by which machines may join.
func (c *Conn) CreateToken(ctx context.Context, w TokenWish) (NewToken, error) {
	r, err := c.nodes.CreateToken(ctx, api.ToTokenWish(w))
	if err != nil {
		return NewToken{}, c.explain(ctx, err)
	}
	return r.New(), nil
}

// Join asks a manager to make this machine a node.
func (c *Conn) Join(ctx context.Context, j Joining) (Joined, error) {
	r, err := c.nodes.Join(ctx, api.ToJoining(j))
	if err != nil {
		return Joined{}, c.explain(ctx, err)
	}
	return r.Joined(), nil
}

// Login asks a manager to make the caller a user.
func (c *Conn) Login(ctx context.Context, l LoggingIn) (LoggedIn, error) {
	r, err := c.nodes.Login(ctx, api.ToLogin(l))
	if err != nil {
		return LoggedIn{}, c.explain(ctx, err)
	}
	return r.LoggedIn(), nil
}

// Whoami asks what the cluster knows of the caller.
func (c *Conn) Whoami(ctx context.Context) (Self, error) {
	r, err := c.nodes.Whoami(ctx, &api.WhoamiRequest{})
	if err != nil {
		return Self{}, c.explain(ctx, err)
	}
	return r.Self(), nil
}

// Renew asks for a new certificate for the key that the node or the user has.
func (c *Conn) Renew(ctx context.Context, csr []byte) (Renewed, error) {
	r, err := c.nodes.Renew(ctx, &api.RenewRequest{Csr: csr})
	return Renewed{Certificate: r.GetCertificate(), Role: r.GetRole(), Authority: r.GetAuthority()}, c.explain(ctx, err)
}

// Place asks for room among the managers for this node, or tells that it has moved.
func (c *Conn) Place(ctx context.Context, w PlaceWish) (Place, error) {
	r, err := c.nodes.Place(ctx, &api.PlaceRequest{Address: w.Address, Replace: w.Replace, Moved: w.Moved})
	return Place{ID: r.GetId(), Peers: r.GetPeers()}, c.explain(ctx, err)
}

// Relay passes signs of life of nodes on to the leader; it fails where somebody else leads.
func (c *Conn) Relay(ctx context.Context, nodes []string) error {
	_, err := c.nodes.Relay(ctx, &api.RelayRequest{Nodes: nodes})
	return c.explain(ctx, err)
}

// Managers tells how the managers are, as the one that is asked knows it; with certain a majority confirms who they are.
func (c *Conn) Managers(ctx context.Context, certain bool) ([]MemberState, error) {
	r, err := c.nodes.Managers(ctx, &api.ManagersRequest{Certain: certain})
	return r.States(), c.explain(ctx, err)
}

// Heartbeat gives a sign of life again and again, until one is not answered before the next but one is due. Answered is called
// for each that is, with the addresses of the managers where they are told. It returns why it ended: ErrSilent where the connection is there, but nothing comes through. A time that comes
// from pace is the one between two signs from then on; every keeps it for the next call.
func (c *Conn) Heartbeat(ctx context.Context, every *time.Duration, pace <-chan time.Duration, answered func(managers []string)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.nodes.Heartbeat(ctx)
	if err != nil {
		return c.explain(ctx, err)
	}
	type answer struct {
		*api.HeartbeatResponse
		err error
	}
	answers := make(chan answer)
	go func() {
		for a := (answer{}); a.err == nil; {
			a.HeartbeatResponse, a.err = stream.Recv()
			select {
			case answers <- a:
			case <-ctx.Done():
				return
			}
		}
	}()
	silence := time.NewTimer(2 * *every)
	defer silence.Stop()
	next := time.NewTicker(*every)
	defer next.Stop()
	for _ = stream.Send(&api.HeartbeatRequest{}); ; { // an error of Send comes with the answer, too
		select {
		case a := <-answers:
			if a.err != nil {
				return c.explain(ctx, a.err)
			}
			silence.Reset(2 * *every)
			answered(a.GetManagers())
		case *every = <-pace:
			next.Reset(*every)
			silence.Reset(2 * *every)
		case <-next.C:
			_ = stream.Send(&api.HeartbeatRequest{})
		case <-silence.C:
			return fmt.Errorf("warren at %s: %w", c.target, ErrSilent)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Reach lets a manager ask this node: serve is called with a listener of one connection, and ends with it.
func (c *Conn) Reach(ctx context.Context, serve func(net.Listener) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.nodes.Reach(ctx)
	if err != nil {
		return c.explain(ctx, err)
	}
	p := api.NewPipe("manager", stream.Recv, stream.Send, cancel)
	defer p.Close()
	return serve(api.ListenPipe(p))
}

// Over returns the API that answers on a connection that is there already. When the connection ends, so does all that uses it.
func Over(name string, conn net.Conn) (*Store, error) {
	c := &Conn{target: name, kinds: v1.Kinds}
	var once sync.Once
	dial := func(context.Context) (net.Conn, error) {
		err := fmt.Errorf("the connection to %s has ended: %w", name, ErrUnavailable)
		once.Do(func() { err = nil })
		if err != nil {
			return nil, err
		}
		return conn, nil
	}
	var err error
	if c.link, err = grpc.NewClient("passthrough:///"+name, append(c.options("unix", dial, nil), grpc.WithIdleTimeout(0))...); err != nil {
		return nil, err
	}
	c.api, c.nodes = api.NewWarrenClient(c.link), api.NewMembershipClient(c.link)
	return &Store{Conn: c}, nil
}
