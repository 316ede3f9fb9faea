package server

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/server/api"
	"warren.io/warren/runtime/store"
)

func newGRPC(s *Server) *grpc.Server {
	g := grpc.NewServer(
		grpc.Creds(opened{}),
		grpc.MaxRecvMsgSize(api.MaxMessage),
		grpc.MaxSendMsgSize(api.MaxMessage),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.StaticStreamWindowSize(api.StreamWindow),
		grpc.StaticConnWindowSize(api.ConnWindow),
		grpc.ConnectionTimeout(helloWithin),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingWithin}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingWithin / 2, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(s.permitCall, s.guardCall),
		grpc.ChainStreamInterceptor(s.permitStream, s.guardStream),
	)
	api.RegisterWarrenServer(g, service{Server: s})
	api.RegisterMembershipServer(g, members{Server: s})
	api.RegisterDebugServer(g, reports{Server: s})
	api.RegisterAuditServer(g, audits{Server: s})
	healthpb.RegisterHealthServer(g, health{server: s})
	reflection.Register(g)
	return g
}

// service is the API's gRPC side, apart from Server so that that has no methods but its own.
type service struct {
	api.UnimplementedWarrenServer
	*Server
}

// Get implements the API.
func (s service) Get(ctx context.Context, r *api.GetRequest) (*api.GetResponse, error) {
	view, err := s.store(ctx)
	if err != nil {
		return nil, err
	}
	o, err := view.Get(ctx, r.GetKey().Meta())
	if err != nil {
		return nil, err
	}
	data, err := meta.Encode(o)
	if err != nil {
		return nil, err
	}
	return &api.GetResponse{Object: &api.Object{Key: api.ToKey(o.Key()), Json: data}}, nil
}

// List implements the API.
func (s service) List(r *api.ListRequest, out grpc.ServerStreamingServer[api.ListResponse]) error {
	f, err := newFilter(r.GetFilter())
	if err != nil {
		return err
	}
	objects, rev, err := s.list(out.Context(), f)
	if err != nil {
		return err
	}
	part, size := &api.ListResponse{Revision: rev}, 0
	for _, o := range objects {
		part.Objects = append(part.Objects, &api.Object{Key: api.ToKey(o.Key), Json: o.JSON})
		if size += len(o.JSON); size >= api.Part {
			if err := out.Send(part); err != nil {
				return err
			}
			part, size = &api.ListResponse{Revision: rev}, 0
		}
	}
	return out.Send(part)
}

// list returns what passes the filter, as JSON: it is only passed on.
func (s *Server) list(ctx context.Context, f filter) ([]store.Packed, store.Revision, error) {
	view, err := s.view(ctx, f.kinds)
	if err != nil {
		return nil, 0, err
	}
	all, rev, err := store.Pack(ctx, view, f.kinds...)
	if err != nil {
		return nil, 0, err
	}
	return slices.DeleteFunc(all, func(p store.Packed) bool { return !f.sees(p.Key) || !f.matchJSON(p.JSON) }), rev, nil
}

// Commit implements the API.
func (s service) Commit(ctx context.Context, r *api.CommitRequest) (*api.CommitResponse, error) {
	ops, err := decodeOps(s.config.Kinds, r.GetOps())
	if err != nil {
		return nil, err
	}
	view, err := s.store(ctx)
	if err != nil {
		return nil, err
	}
	rev, err := view.Commit(ctx, ops...)
	if err != nil {
		return nil, err
	}
	return &api.CommitResponse{Revision: rev}, nil
}

func decodeOps(kinds meta.Kinds, in []*api.Op) ([]store.Op, error) {
	if len(in) > store.MaxUserOps {
		return nil, fmt.Errorf("commit of %d operations, at most %d are allowed: %w", len(in), store.MaxUserOps, store.ErrTooLarge)
	}
	ops := make([]store.Op, len(in))
	for i, x := range in {
		op, err := decodeOp(kinds, x)
		if err != nil {
			return nil, api.Invalid("operation %d, %s: %v", i, x.GetKey().Meta(), err)
		}
		ops[i] = op
	}
	return ops, nil
}

func decodeOp(kinds meta.Kinds, x *api.Op) (store.Op, error) {
	op := store.Op{Key: x.GetKey().Meta(), Guard: x.GetGuard()}
	if op.Key.Kind == "" || op.Key.Name == "" {
		return op, fmt.Errorf("kind and name are required")
	}
	if op.Guard < store.Any {
		return op, fmt.Errorf("guard %d is no revision", op.Guard)
	}
	switch x.GetVerb() {
	case api.Verb_DELETE:
		op.Verb = store.Delete
		return op, nil
	case api.Verb_CHECK:
		op.Verb = store.Check
		return op, nil
	case api.Verb_PUT:
		op.Verb = store.Put
	default:
		return op, fmt.Errorf("verb %d is unknown", x.GetVerb())
	}
	o, err := kinds.Decode(x.GetJson())
	if err != nil {
		return op, err
	}
	if o.Key() != op.Key {
		return op, fmt.Errorf("the object says that it is %s", o.Key())
	}
	op.Object = o
	return op, nil
}
