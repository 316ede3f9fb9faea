package server

import (
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"warren.io/warren/runtime/server/api"
)

// Bounds of a connection of somebody without a certificate: enough to ask for one.
const (
	lobbyMessage = 64 << 10
	lobbyStreams = 4
	lobbyHeaders = 16 << 10
	lobbyIdle    = 10 * time.Second
	lobbyStay    = time.Minute
)

// newLobby makes the server of those who have no certificate. It knows two calls, Join and Login; nothing else can be
// reached from it.
func newLobby(s *Server) *grpc.Server {
	g := grpc.NewServer(
		grpc.Creds(opened{}),
		grpc.MaxRecvMsgSize(lobbyMessage),
		grpc.MaxConcurrentStreams(lobbyStreams),
		grpc.MaxHeaderListSize(lobbyHeaders),
		grpc.ConnectionTimeout(helloWithin),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: lobbyIdle, MaxConnectionAge: lobbyStay, MaxConnectionAgeGrace: lobbyIdle}),
		grpc.UnaryInterceptor(s.guardCall),
		grpc.UnknownServiceHandler(s.notYet),
	)
	joining := api.Membership_ServiceDesc
	joining.Streams, joining.Methods = nil, nil
	for _, m := range api.Membership_ServiceDesc.Methods {
		if slices.Contains(forAll, "/"+joining.ServiceName+"/"+m.MethodName) {
			joining.Methods = append(joining.Methods, m)
		}
	}
	g.RegisterService(&joining, members{Server: s})
	return g
}

// notYet answers all other calls.
func (s *Server) notYet(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	return api.ToStatus(s.tellRefused(addressOf(stream.Context()), caller{}.refused(method, "")))
}
