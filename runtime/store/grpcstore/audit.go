package grpcstore

import (
	"context"
	"errors"
	"io"

	"warren.io/warren/runtime/server/api"
)

// AuditQuery and Change are what is asked and answered about who changed what.
type (
	AuditQuery = api.AuditQuery
	Change     = api.Change
)

// Audit calls emit for each change that somebody made, oldest first. An error of emit ends it and is returned.
func (c *Conn) Audit(ctx context.Context, q AuditQuery, emit func(Change) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, err := api.NewAuditClient(c.link).Read(ctx, &api.AuditRequest{Key: q.Key, Tail: int64(q.Tail), Follow: q.Follow})
	for err == nil {
		var m *api.AuditResponse
		if m, err = in.Recv(); err != nil {
			break
		}
		if err := emit(m.Change()); err != nil {
			return err
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return c.explain(ctx, err)
}
