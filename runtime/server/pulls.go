package server

import (
	"errors"

	"google.golang.org/grpc"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/server/api"
)

// WatchPulls implements the API.
func (s service) WatchPulls(_ *api.WatchPullsRequest, out grpc.ServerStreamingServer[api.WatchPullsResponse]) error {
	if s.config.Pulls == nil {
		return notServed("progress of pulls")
	}
	ctx, done := s.open(out.Context())
	defer done()
	latest := newOutbox(out.Context(), 1, func(m *api.WatchPullsResponse, _ <-chan *api.WatchPullsResponse) error { return out.Send(m) })
	err := s.config.Pulls.WatchPulls(ctx, func(all []host.Pull) error { return latest.put(ctx, api.ToPulls(all), 0) })
	if s.stopping.Err() != nil && errors.Is(err, ctx.Err()) {
		err = errStopping
	}
	return latest.finish(out.Context(), err)
}
