package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/server/api"
	"warren.io/warren/runtime/store"
)

// caller is who asks.
type caller struct {
	role v1.Role // "" of somebody who showed no certificate, or one that is worth nothing any more
	name string
	cert *x509.Certificate // nil of somebody who came by the socket
	user bool              // a person who has logged in, and not the first manager's own key
	why  error             // why a certificate is worth nothing
}

// author is the caller as the record of changes names him.
func (c caller) author() string {
	switch {
	case c.user:
		return fmt.Sprintf("%s (%s)", c.name, c.role)
	case c.role == "":
		return ""
	}
	return c.name
}

type callerKey struct{}

// callerOf is who asks, as permit found out.
func callerOf(ctx context.Context) caller {
	who, _ := ctx.Value(callerKey{}).(caller)
	return who
}

// known is a context that says who asks.
func (c caller) known(ctx context.Context) context.Context {
	ctx = context.WithValue(ctx, callerKey{}, c)
	if author := c.author(); author != "" {
		ctx = store.As(ctx, author)
	}
	return ctx
}

// callerAt tells who asks by how the connection was made, and by what the cluster says of him now.
func (s *Server) callerAt(ctx context.Context) caller {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return caller{}
	}
	switch who := p.AuthInfo.(type) {
	case local:
		return caller{role: v1.RoleAdmin, name: who.name()}
	case credentials.TLSInfo:
		return s.holder(ctx, who.State.PeerCertificates)
	}
	return caller{}
}

// holder is who has a certificate; that it is of the cluster's authority was seen when the connection was made. What a person
// may do is up to the User of that name.
func (s *Server) holder(ctx context.Context, certs []*x509.Certificate) caller {
	if len(certs) == 0 {
		return caller{}
	}
	cert := certs[0]
	who := subject(cert.Subject.CommonName, cert.Subject.Organization)
	who.cert = cert
	if who.user {
		who.role, who.why = s.roll.role(ctx, cert)
	}
	return who
}

// subject is who a certificate says that its holder is.
func subject(name string, organization []string) caller {
	if len(organization) == 0 {
		return caller{role: v1.RoleAdmin, name: "key " + name} // made by a warren that knew no other roles
	}
	text, ok := strings.CutPrefix(organization[0], v1.RolePrefix)
	switch role := v1.Role(text); {
	case !ok || len(organization) != 1:
		return caller{}
	case role == v1.RoleAdmin && name == v1.AdminName:
		return caller{role: role, name: "key " + name}
	default:
		return caller{role: role, name: name, user: role.OfPeople()}
	}
}

// permit refuses calls that are not for the caller. A manager may do all, since it keeps the store; but whether somebody is
// one is up to the managers, and not to an old certificate: without that it is a worker.
func (s *Server) permit(ctx context.Context, who caller, method string) error {
	switch {
	case slices.Contains(forAll, method):
		return nil
	case s.isManager(who), who.role == v1.RoleManager && slices.Contains(forNewcomers, method), who.node() && slices.Contains(forWorkers, method):
		return s.standing(ctx, who, method)
	case who.user && who.role != "" && slices.Contains(forUsers, method):
		return nil
	}
	takes := takes(method)
	if who.role.AtLeast(takes) {
		return nil
	}
	return who.refused(path.Base(method), takes)
}

// standing refuses what the certificate of a node is not good for any more.
func (s *Server) standing(ctx context.Context, who caller, method string) error {
	if s.config.Members == nil {
		return notServed("nodes")
	}
	now, err := s.config.Members.Standing(ctx, who.cert)
	if err != nil {
		return fmt.Errorf("look up node %s: %w", who.name, err)
	}
	if now == Dismissed && (s.isManager(who) || !slices.Contains(forDismissed, method)) {
		return fmt.Errorf("%w: node %s was removed from this cluster, or its name was given to another machine; to come back: warren reset there, and join anew", store.ErrForbidden, who.name)
	}
	if now == Expired && !s.isManager(who) && method != api.Membership_Renew_FullMethodName {
		return fmt.Errorf("%w: the certificate of node %s ran out at %s; it can only be renewed, which the node does by itself", store.ErrForbidden, who.name, who.cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

func (s *Server) isManager(c caller) bool {
	return c.role == v1.RoleManager && s.config.Members != nil && s.config.Members.IsManager(c.name)
}

// node tells whether the caller is a machine.
func (c caller) node() bool { return c.role == v1.RoleWorker || c.role == v1.RoleManager }

// refused says what the caller may not do, and which role it takes.
func (c caller) refused(what string, takes v1.Role) error {
	switch {
	case c.why != nil:
		return c.why
	case c.role == "":
		return fmt.Errorf("%w: %s needs a certificate", store.ErrForbidden, what)
	case takes == "" || !c.role.OfPeople():
		return fmt.Errorf("%w: %s is not for %s %s", store.ErrForbidden, what, c.role, c.name)
	}
	return fmt.Errorf("%w: %s takes the role %s, and %s has the role %s\ntry: ask an administrator for warrenctl user set-role %s %s",
		store.ErrForbidden, what, takes, c.name, c.role, c.name, takes)
}

// store is the store as the caller may see and write it.
func (s *Server) store(ctx context.Context) (store.Store, error) {
	who := callerOf(ctx)
	switch {
	case who.role == v1.RoleAdmin, s.isManager(who):
		return s.config.Store, nil
	case who.role.OfPeople():
		return personal{s.config.Store, who, s.tellRefused}, nil
	case who.node() && s.config.Members != nil:
		now, err := s.config.Members.Standing(ctx, who.cert)
		if err != nil {
			return nil, fmt.Errorf("look up node %s: %w", who.name, err)
		}
		if now == Dismissed {
			return s.config.Members.Dismissed(who.name), nil
		}
		return s.config.Members.Scope(who.name), nil
	case who.node():
		return nil, notServed("workers")
	}
	return nil, who.refused("the store", "")
}

// permitHTTP lets only people through: nodes use gRPC.
func (s *Server) permitHTTP(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := s.callerOn(r.Context())
		if !who.role.OfPeople() {
			w.Header().Set("Connection", "close")
			fail(w, s.tellRefused(r.RemoteAddr, who.refused(r.URL.Path, "")))
			return
		}
		ctx := store.OnStale(who.known(r.Context()), func(s store.Stale) { w.Header().Set("Warren-Stale", s.String()) })
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}

type connKey struct{}

// markConn remembers for the requests of an HTTP connection which one that is.
func (s *Server) markConn(ctx context.Context, c net.Conn) context.Context {
	if t := secretOf(c); t != nil && s.config.Peers.Conn != nil {
		if certs := t.ConnectionState().PeerCertificates; len(certs) > 0 && subject(certs[0].Subject.CommonName, certs[0].Subject.Organization).role == v1.RoleManager {
			ctx = s.config.Peers.Conn(ctx, t)
		}
	}
	return context.WithValue(markLocal(ctx, c), connKey{}, c)
}

// secretOf is what is below a connection that came by TLS, nil where it did not.
func secretOf(c net.Conn) *tls.Conn {
	if g, ok := c.(*greeted); ok {
		t, _ := g.Conn.(*tls.Conn)
		return t
	}
	return nil
}

// forPeers passes on what managers say to each other to keep the store; who may say it is decided there.
func (s *Server) forPeers(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _ := r.Context().Value(connKey{}).(net.Conn)
		t := secretOf(c)
		if t == nil || s.config.Peers.For == nil || !s.config.Peers.For(r) {
			h.ServeHTTP(w, r)
			return
		}
		state := t.ConnectionState()
		if len(state.PeerCertificates) > 0 && len(state.VerifiedChains) == 0 {
			state.VerifiedChains = [][]*x509.Certificate{state.PeerCertificates} // by whoever configured the listener
		}
		if m := s.config.Members; m != nil && len(state.PeerCertificates) > 0 && m.Impostor(state.PeerCertificates[0]) {
			fail(w, s.tellRefused(r.RemoteAddr, fmt.Errorf("%w: %s has another key since it was removed and joined anew", store.ErrForbidden, state.PeerCertificates[0].Subject.CommonName)))
			return
		}
		r.TLS = &state // net/http does not see it behind the first bytes
		if peers := s.config.Peers.Handler(); peers != nil {
			peers.ServeHTTP(w, r)
			return
		}
		fail(w, fmt.Errorf("%w: the store is not there yet", store.ErrUnavailable))
	})
}

// callerOn tells who asks over HTTP.
func (s *Server) callerOn(ctx context.Context) caller {
	c, _ := ctx.Value(connKey{}).(net.Conn)
	if t := secretOf(c); t != nil {
		return s.holder(ctx, t.ConnectionState().PeerCertificates)
	}
	if g, ok := c.(*greeted); ok {
		return caller{role: v1.RoleAdmin, name: local{uid: uidOf(g.Conn)}.name()}
	}
	return caller{}
}

// tellRefused logs a refusal, which somebody should know of; not one for each try, nor for each thing that was tried.
func (s *Server) tellRefused(from string, err error) error {
	s.refusals.Do(err.Error(), func(more int) {
		switch s.told.next() {
		case maxTold:
			s.config.Log.Info("refused many different requests; what else is refused in this minute is not logged", "from", from)
		case 0:
		default:
			s.config.Log.Info("refused a request", "from", from, "cause", err.Error(), "alsoBefore", more)
		}
	})
	return err
}

// permitCall and permitStream are the first that any call meets.
func (s *Server) permitCall(ctx context.Context, r any, info *grpc.UnaryServerInfo, do grpc.UnaryHandler) (any, error) {
	who := s.callerAt(ctx)
	if err := s.permit(ctx, who, info.FullMethod); err != nil {
		return nil, api.ToStatus(s.tellRefused(addressOf(ctx), err))
	}
	return do(who.known(ctx), r)
}

func (s *Server) permitStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, do grpc.StreamHandler) error {
	who := s.callerAt(stream.Context())
	if err := s.permit(stream.Context(), who, info.FullMethod); err != nil {
		return api.ToStatus(s.tellRefused(addressOf(stream.Context()), err))
	}
	return do(srv, knownStream{stream, who.known(stream.Context())})
}

// knownStream is a stream of which handlers know who asks.
type knownStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s knownStream) Context() context.Context { return s.ctx }

func addressOf(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr.String()
	}
	return ""
}
