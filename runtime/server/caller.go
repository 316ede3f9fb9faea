package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
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
	role v1.Role // "" of somebody who showed no certificate
	name string
	cert *x509.Certificate // nil of somebody who came by the socket
}

// callerOf tells who asks by how the connection was made.
func callerOf(ctx context.Context) caller {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return caller{}
	}
	switch who := p.AuthInfo.(type) {
	case local:
		return caller{role: v1.RoleAdmin, name: who.name()}
	case credentials.TLSInfo:
		return holder(who.State.PeerCertificates)
	}
	return caller{}
}

// holder is who has a certificate; that it is of the cluster's authority was seen when the connection was made.
func holder(certs []*x509.Certificate) caller {
	if len(certs) == 0 {
		return caller{}
	}
	name, roles := certs[0].Subject.CommonName, certs[0].Subject.Organization
	if len(roles) == 0 {
		return caller{v1.RoleAdmin, name, certs[0]} // made by a warren that knew no other roles
	}
	if role, ok := strings.CutPrefix(roles[0], v1.RolePrefix); ok && len(roles) == 1 {
		return caller{v1.Role(role), name, certs[0]}
	}
	return caller{}
}

// forWorkers are the calls that a worker may make. What it sees and writes by them is up to its scope.
var forWorkers = []string{
	api.Warren_Get_FullMethodName, api.Warren_List_FullMethodName, api.Warren_Watch_FullMethodName, api.Warren_Commit_FullMethodName,
	api.Membership_Renew_FullMethodName, api.Membership_Heartbeat_FullMethodName, api.Membership_Reach_FullMethodName,
}

// forNewcomers are those that a manager may make beside, which is not yet, or not any more, among those that keep the store.
var forNewcomers = []string{api.Membership_Place_FullMethodName, api.Membership_Managers_FullMethodName}

// forDismissed are the calls of a node that is none any more: by them it learns that nothing is its own, and stops what it ran.
// Were they refused, it would take itself for cut off, and its tasks would go on for ever.
var forDismissed = []string{api.Warren_List_FullMethodName, api.Warren_Watch_FullMethodName}

// permit refuses calls that are not for the caller. A manager may do all, since it keeps the store; but whether somebody is
// one is up to the managers, and not to an old certificate: without that it is a worker.
func (s *Server) permit(ctx context.Context, method string) error {
	who := callerOf(ctx)
	switch {
	case method == api.Membership_Join_FullMethodName:
		return nil
	case who.role == v1.RoleAdmin:
		return nil
	case s.isManager(who):
		return s.standing(ctx, who, method)
	case who.role == v1.RoleManager && slices.Contains(forNewcomers, method):
		return s.standing(ctx, who, method)
	case who.node() && slices.Contains(forWorkers, method):
		return s.standing(ctx, who, method)
	}
	return who.refused(method)
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

func (c caller) refused(what string) error {
	if c.role == "" {
		return fmt.Errorf("%w: %s needs a certificate", store.ErrForbidden, what)
	}
	return fmt.Errorf("%w: %s is not for %s %s", store.ErrForbidden, what, c.role, c.name)
}

// store is the store as the caller may see and write it.
func (s *Server) store(ctx context.Context) (store.Store, error) {
	who := callerOf(ctx)
	if who.node() && !s.isManager(who) {
		if s.config.Members == nil {
			return nil, notServed("workers")
		}
		now, err := s.config.Members.Standing(ctx, who.cert)
		if err != nil {
			return nil, fmt.Errorf("look up node %s: %w", who.name, err)
		}
		if now == Dismissed {
			return s.config.Members.Dismissed(who.name), nil
		}
		return s.config.Members.Scope(who.name), nil
	}
	return s.config.Store, nil
}

type callerKey struct{}

// markCaller remembers for the requests of an HTTP connection who is at its other end.
func (s *Server) markCaller(ctx context.Context, c net.Conn) context.Context {
	who := caller{role: v1.RoleAdmin, name: "a user of this machine"}
	if g, ok := c.(*greeted); ok {
		if t, ok := g.Conn.(*tls.Conn); ok {
			state := t.ConnectionState()
			if len(state.PeerCertificates) > 0 && len(state.VerifiedChains) == 0 {
				state.VerifiedChains = [][]*x509.Certificate{state.PeerCertificates} // by whoever configured the listener
			}
			who = holder(state.PeerCertificates)
			ctx = context.WithValue(ctx, stateKey{}, &state)
			if who.role == v1.RoleManager && s.config.Peers.Conn != nil {
				ctx = s.config.Peers.Conn(ctx, t)
			}
		}
	}
	return context.WithValue(markLocal(ctx, c), callerKey{}, who)
}

type stateKey struct{}

// forPeers passes on what managers say to each other to keep the store; who may say it is decided there.
func (s *Server) forPeers(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		state, _ := r.Context().Value(stateKey{}).(*tls.ConnectionState)
		if state == nil || s.config.Peers.For == nil || !s.config.Peers.For(r) {
			h.ServeHTTP(w, r)
			return
		}
		if m := s.config.Members; m != nil && len(state.PeerCertificates) > 0 && m.Impostor(state.PeerCertificates[0]) {
			fail(w, s.tellRefused(r.RemoteAddr, fmt.Errorf("%w: %s has another key since it was removed and joined anew", store.ErrForbidden, state.PeerCertificates[0].Subject.CommonName)))
			return
		}
		r.TLS = state // net/http does not see it behind the first bytes
		if peers := s.config.Peers.Handler(); peers != nil {
			peers.ServeHTTP(w, r)
			return
		}
		fail(w, fmt.Errorf("%w: the store is not there yet", store.ErrUnavailable))
	})
}

// permitHTTP lets only people through: nodes use gRPC.
func (s *Server) permitHTTP(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := r.Context().Value(callerKey{}).(caller)
		if who.role != v1.RoleAdmin {
			fail(w, s.tellRefused(r.RemoteAddr, who.refused(r.URL.Path)))
			return
		}
		ctx := store.OnStale(r.Context(), func(s store.Stale) { w.Header().Set("Warren-Stale", s.String()) })
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}

// tellRefused logs a refusal, which somebody should know of; not one for each try.
func (s *Server) tellRefused(from string, err error) error {
	s.refusals.Do(err.Error(), func(more int) {
		s.config.Log.Info("refused a request", "from", from, "cause", err.Error(), "alsoBefore", more)
	})
	return err
}

// permitCall and permitStream are the first that any call meets.
func (s *Server) permitCall(ctx context.Context, r any, info *grpc.UnaryServerInfo, do grpc.UnaryHandler) (any, error) {
	if err := s.permit(ctx, info.FullMethod); err != nil {
		return nil, api.ToStatus(s.tellRefused(addressOf(ctx), err))
	}
	return do(ctx, r)
}

func (s *Server) permitStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, do grpc.StreamHandler) error {
	if err := s.permit(stream.Context(), info.FullMethod); err != nil {
		return api.ToStatus(s.tellRefused(addressOf(stream.Context()), err))
	}
	return do(srv, stream)
}

func addressOf(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr.String()
	}
	return ""
}
