package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"warren.io/warren/runtime/server/api"
	"warren.io/warren/runtime/store"
)

// guardCall keeps a panic in one call from ending the process, and makes its error one for the wire.
func (s *Server) guardCall(ctx context.Context, r any, info *grpc.UnaryServerInfo, do grpc.UnaryHandler) (out any, err error) {
	defer s.contained(info.FullMethod, &err)
	ctx = store.OnStale(ctx, func(w store.Stale) { _ = grpc.SetTrailer(ctx, metadata.Pairs(api.StaleTrailer, w.String())) })
	out, err = do(ctx, r)
	return out, wire(err)
}

func (s *Server) guardStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, do grpc.StreamHandler) (err error) {
	defer s.contained(info.FullMethod, &err)
	err = do(srv, frank{stream, store.OnStale(stream.Context(), func(w store.Stale) { stream.SetTrailer(metadata.Pairs(api.StaleTrailer, w.String())) })})
	s.tellSlow(err, info.FullMethod)
	return wire(err)
}

// frank is a stream that says at its end that what came was old.
type frank struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (f frank) Context() context.Context { return f.ctx }

func (s *Server) tellSlow(err error, request string) {
	if errors.Is(err, errSlow) {
		s.config.Log.Info("cut off a watcher that did not keep up", "request", request)
	}
}

// wire leaves alone what has a gRPC status already: errors of the connection and of gRPC's own services.
func wire(err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	return api.ToStatus(err)
}

func (s *Server) contained(where string, err *error) {
	if p := recover(); p != nil {
		s.config.Log.Error(fmt.Errorf("panic: %v", p), "a request failed", "request", where, "stack", string(debug.Stack()))
		*err = api.ToStatus(fmt.Errorf("%s: the server made a mistake, its log says more: %w", where, store.ErrUnknown))
	}
}

func unknownService(name string) error {
	return status.Errorf(codes.NotFound, "unknown service %q", name)
}

// contain does the same for HTTP.
func (s *Server) contain(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				s.config.Log.Error(fmt.Errorf("panic: %v", p), "a request failed", "request", r.URL.Path, "stack", string(debug.Stack()))
				fail(w, errors.New("the server made a mistake, its log says more"))
			}
		}()
		h.ServeHTTP(w, r)
	})
}
