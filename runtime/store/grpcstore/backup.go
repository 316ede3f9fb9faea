package grpcstore

import (
	"context"
	"errors"
	"io"

	"warren.io/warren/runtime/server/api"
)

// Backup writes the text of a backup of the cluster, keys included. What was written is whole only if there is no error.
func (c *Conn) Backup(ctx context.Context, w io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, err := api.NewWarrenClient(c.link).Backup(ctx, &api.BackupRequest{})
	for err == nil {
		var m *api.BackupResponse
		if m, err = in.Recv(); err != nil {
			break
		}
		if _, err := w.Write(m.GetData()); err != nil {
			return err
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return c.explain(ctx, err)
}
