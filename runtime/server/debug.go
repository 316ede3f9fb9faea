package server

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"google.golang.org/grpc"

	"warren.io/warren/runtime/server/api"
	"warren.io/warren/runtime/store"
)

// Report is one part of what a node tells about its own process.
type Report = api.Report

// reports is the API's side for bug reports.
type reports struct {
	api.UnimplementedDebugServer
	*Server
}

// Reports implements the API.
func (d reports) Reports(_ *api.ReportsRequest, out grpc.ServerStreamingServer[api.ReportsResponse]) error {
	if d.config.Debug == nil {
		return notServed("debug")
	}
	return d.config.Debug(out.Context(), func(r Report) error {
		for _, m := range api.ToReports(r) {
			if err := out.Send(m); err != nil {
				return err
			}
		}
		return nil
	})
}

// ownSocket marks the connections of the node's own socket.
type ownSocket struct{}

func markLocal(ctx context.Context, c net.Conn) context.Context {
	if c.LocalAddr().Network() == "unix" {
		return context.WithValue(ctx, ownSocket{}, true)
	}
	return ctx
}

// pprof serves profiles on the node's own socket only, and only where that was asked for: they cost time, and tell much.
func (s *Server) pprof(w http.ResponseWriter, r *http.Request) error {
	if r.Context().Value(ownSocket{}) == nil {
		return fmt.Errorf("%s: %w; profiles are served on the node's own socket only", r.URL.Path, store.ErrNotFound)
	}
	if s.config.Pprof == nil {
		return fmt.Errorf("%s: %w; profiles are off, start warren with --pprof", r.URL.Path, store.ErrNotFound)
	}
	s.config.Pprof.ServeHTTP(w, r)
	return nil
}
