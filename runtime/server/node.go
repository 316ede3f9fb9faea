package server

import (
	"context"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"warren.io/warren/runtime/server/api"
)

// Info implements the API.
func (s service) Info(ctx context.Context, _ *api.InfoRequest) (*api.InfoResponse, error) {
	if s.config.Info == nil {
		return nil, notServed("info")
	}
	i, err := s.config.Info(ctx)
	if err != nil {
		return nil, err
	}
	i.Ready, _ = s.checks(ctx)
	return api.ToInfo(i), nil
}

// Graph implements the API.
func (s service) Graph(context.Context, *api.GraphRequest) (*api.GraphResponse, error) {
	if s.config.Graph == nil {
		return nil, notServed("graph")
	}
	return &api.GraphResponse{Lines: s.config.Graph()}, nil
}

// Why implements the API.
func (s service) Why(ctx context.Context, r *api.WhyRequest) (*api.WhyResponse, error) {
	if s.config.Why == nil {
		return nil, notServed("why")
	}
	key := r.GetKey().Meta()
	if key.Kind == "" || key.Name == "" {
		return nil, api.Invalid("why: kind and name are required")
	}
	lines, err := s.config.Why(ctx, key)
	return &api.WhyResponse{Lines: lines}, err
}

// Stop implements the API.
func (s service) Stop(ctx context.Context, r *api.StopRequest) (*api.StopResponse, error) {
	if s.config.Stop == nil {
		return nil, notServed("stop")
	}
	return &api.StopResponse{}, s.config.Stop(ctx, r.GetTasks())
}

// checks runs all health checks and tells whether all are well. A server that stops is not ready.
func (s *Server) checks(ctx context.Context) ([]Check, bool) {
	var list []Check
	if s.config.Health != nil {
		list = s.config.Health(ctx)
	}
	if s.stopping.Err() != nil {
		list = append(list, Check{Name: "server", Message: "is stopping"})
	}
	for _, c := range list {
		if !c.OK {
			return list, false
		}
	}
	return list, true
}

// health answers gRPC's health protocol: the empty service is the process, warren.v1.Warren is the node's readiness.
// There is no health watch: readiness is looked at when somebody asks.
type health struct {
	healthpb.UnimplementedHealthServer
	server *Server
}

// Check implements gRPC's health protocol.
func (h health) Check(ctx context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	switch r.GetService() {
	case "":
		return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
	case api.Warren_ServiceDesc.ServiceName:
		return &healthpb.HealthCheckResponse{Status: h.readiness(ctx)}, nil
	}
	return nil, unknownService(r.GetService())
}

func (h health) readiness(ctx context.Context) healthpb.HealthCheckResponse_ServingStatus {
	if _, ok := h.server.checks(ctx); !ok {
		return healthpb.HealthCheckResponse_NOT_SERVING
	}
	return healthpb.HealthCheckResponse_SERVING
}
