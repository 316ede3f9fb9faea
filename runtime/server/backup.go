package server

import (
	"bufio"

	"google.golang.org/grpc"

	"warren.io/warren/runtime/server/api"
)

// Backup implements the API. It sends the authority's key, so it is for administrators only, as whoever may connect is.
func (s service) Backup(_ *api.BackupRequest, out grpc.ServerStreamingServer[api.BackupResponse]) error {
	if s.config.Backup == nil {
		return notServed("backup")
	}
	to := bufio.NewWriterSize(sink(func(b []byte) error { return out.Send(&api.BackupResponse{Data: b}) }), api.Piece)
	ctx, done := s.open(out.Context())
	defer done()
	if err := s.config.Backup(ctx, to); err != nil {
		return err
	}
	return to.Flush()
}
