package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"sync"

	v1 "warren.io/warren/apis/v1"
	keys "warren.io/warren/runtime/identity"
	"warren.io/warren/runtime/server"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
	"warren.io/warren/runtime/why"
)

// office is what a manager does for the other nodes. It implements server.Members.
type office struct {
	node   *node
	behind *store.Late // the store below admission
	noted  *store.Late // the same, where it is written down who changed what
	roster keys.Roster

	mu      sync.Mutex
	reached map[string]*grpcstore.Store // nodes that can be asked
	dialled map[string]*grpcstore.Store // other managers, by address
	heard   map[string]bool             // since the leader was told last
	news    chan struct{}               // that there is somebody in heard
}

func newOffice(n *node) *office {
	return &office{node: n, behind: store.NewLate("warren is starting"), noted: store.NewLate("warren is starting"), reached: map[string]*grpcstore.Store{},
		dialled: map[string]*grpcstore.Store{}, heard: map[string]bool{}, news: make(chan struct{}, 1)}
}

func (o *office) open(s store.Store, recorder why.Recorder) {
	o.behind.Open(s)
	o.noted.Open(recorder.Over(s))
}

func (o *office) desk() (*keys.Desk, error) {
	if o.node.id.worker() {
		return nil, o.node.askManager()
	}
	if o.node.listen == "" {
		return nil, fmt.Errorf("%w: no machine can join node %s, which is reached on its own socket only\ntry: warren run with --listen HOST:PORT there", store.ErrForbidden, o.node.id.Name)
	}
	return keys.OpenDesk(o.node.keysDir(), o.noted, keys.Now)
}

// CreateToken implements server.Members.
func (o *office) CreateToken(ctx context.Context, w server.TokenWish) (server.NewToken, error) {
	d, err := o.desk()
	if err != nil {
		return server.NewToken{}, err
	}
	text, t, err := d.CreateTokenFor(ctx, w.User, v1.Role(w.Role), w.TTL, w.Uses)
	if err != nil {
		return server.NewToken{}, err
	}
	o.node.log.Info("token was made", "id", t.Metadata.Name, "role", t.Spec.Role, "uses", t.Spec.Uses, "expires", t.Spec.Expires, "by", store.Author(ctx))
	return server.NewToken{Text: text, ID: t.Metadata.Name, Expires: t.Spec.Expires, Address: o.node.advertise}, nil
}

// Join implements server.Members.
func (o *office) Join(ctx context.Context, j server.Joining) (server.Joined, error) {
	d, err := o.desk()
	if err != nil {
		return server.Joined{}, err
	}
	cert, role, err := d.Join(ctx, j.Token, j.Name, j.Address, j.CSR)
	if err != nil {
		o.node.log.Info("a machine was not let in", "name", j.Name, "cause", err.Error())
		return server.Joined{}, err
	}
	o.node.log.Info("a machine has joined", "node", j.Name, "role", role)
	out := server.Joined{Certificate: cert, Cluster: o.node.id.Cluster, Role: string(role), Managers: o.addresses()}
	out.Authority, err = keyFor(d, role)
	return out, err
}

// keyFor is the key of the authority where a node is to be a manager.
func keyFor(d *keys.Desk, role v1.Role) ([]byte, error) {
	if role != v1.RoleManager {
		return nil, nil
	}
	return d.Key()
}

// Login implements server.Members.
func (o *office) Login(ctx context.Context, l server.LoggingIn) (server.LoggedIn, error) {
	d, err := o.desk()
	if err != nil {
		return server.LoggedIn{}, err
	}
	cert, u, err := d.Login(ctx, l.Token, l.User, l.CSR)
	if err != nil {
		o.node.log.Info("a login was refused", "name", l.User, "cause", err.Error())
		return server.LoggedIn{}, err
	}
	o.node.log.Info("a user has logged in", "user", u.Metadata.Name, "role", u.Spec.Role)
	return server.LoggedIn{Certificate: cert, Cluster: o.node.id.Cluster, Role: string(u.Spec.Role), User: u.Metadata.Name}, nil
}

// RenewUser implements server.Members.
func (o *office) RenewUser(ctx context.Context, user string, csr []byte) ([]byte, error) {
	d, err := o.desk()
	if err != nil {
		return nil, err
	}
	return d.RenewUser(ctx, user, csr)
}

// Renew implements server.Members.
func (o *office) Renew(ctx context.Context, node string, csr []byte) (server.Renewed, error) {
	d, err := o.desk()
	if err != nil {
		return server.Renewed{}, err
	}
	cert, role, err := d.Renew(ctx, node, csr)
	if err != nil {
		return server.Renewed{}, err
	}
	out := server.Renewed{Certificate: cert, Role: string(role)}
	out.Authority, err = keyFor(d, role)
	return out, err
}

// Standing implements server.Members.
func (o *office) Standing(ctx context.Context, cert *x509.Certificate) (server.Standing, error) {
	known, err := o.roster.Knows(ctx, cert, o.behind)
	if err != nil || !known {
		return server.Dismissed, err
	}
	if keys.Expired(cert) {
		return server.Expired, nil
	}
	return server.Good, nil
}

// Impostor implements server.Members.
func (o *office) Impostor(cert *x509.Certificate) bool { return o.roster.Differs(cert) }

// follow keeps the roster, and ends the connections of nodes that are none any more.
func (o *office) follow(ctx context.Context, api *server.Server) {
	o.roster.Gone = func(node, key string) {
		ended := api.Expel(node, func(c *x509.Certificate) bool { return key != "" && keys.KeyOf(c) == key })
		o.node.log.Info("a node is none any more, or another machine's", "node", node, "connectionsEnded", ended)
	}
	o.roster.Follow(ctx, o.behind)
}

// Dismissed implements server.Members.
func (o *office) Dismissed(string) store.Store { return store.Scope(o.behind, dismissedRights) }

// Scope implements server.Members.
func (o *office) Scope(node string) store.Store { return store.Scope(o.behind, workerRights(node)) }

// Reached implements server.Members. The newest connection to a node is the one that is used.
func (o *office) Reached(ctx context.Context, node string, c *server.Pipe) error {
	s, err := grpcstore.Over("node "+node, c)
	if err != nil {
		return err
	}
	defer s.Close()
	o.mu.Lock()
	o.reached[node] = s
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.reached[node] == s {
			delete(o.reached, node)
		}
	}()
	select {
	case <-c.Done():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// reach is the API of another node.
func (o *office) reach(node string) (*grpcstore.Store, error) {
	o.mu.Lock()
	s := o.reached[node]
	o.mu.Unlock()
	if s != nil {
		return s, nil
	}
	for _, m := range o.node.known() {
		if m.Name == node {
			return o.dial(addressOf(m))
		}
	}
	return nil, fmt.Errorf("node %s is not connected to %s: %w\ntry: warrenctl why node/%s", node, o.node.id.Name, store.ErrUnavailable, node)
}
