package grpcstore

import (
	"context"
	"errors"
	"io"

	"warren.io/warren/runtime/server/api"
)

// Report is one part of what a node tells about its own process.
type Report = api.Report

// Reports calls emit for each part, or for each piece of a long one: pieces of one name follow each other.
func (c *Conn) Reports(ctx context.Context, emit func(Report) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, err := api.NewDebugClient(c.link).Reports(ctx, &api.ReportsRequest{})
	for err == nil {
		var m *api.ReportsResponse
		if m, err = in.Recv(); err != nil {
			break
		}
		if err := emit(m.Report()); err != nil {
			return err
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return c.explain(ctx, err)
}
