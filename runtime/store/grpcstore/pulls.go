package grpcstore

import (
	"context"
	"errors"
	"io"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/server/api"
)

// WatchPulls calls emit with the images that the node is fetching: at once, and then whenever that changed, until emit
// returns an error or ctx ends.
func (c *Conn) WatchPulls(ctx context.Context, emit func([]host.Pull) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, err := c.api.WatchPulls(ctx, &api.WatchPullsRequest{})
	if err != nil {
		return c.explain(ctx, err)
	}
	for {
		m, err := in.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return c.explain(ctx, err)
		}
		if err := emit(m.Host()); err != nil {
			return err
		}
	}
}

// errEnough ends a watch of which the first answer is all that was wanted.
var errEnough = errors.New("enough")

// Pulls returns the images that the node is fetching now.
func (c *Conn) Pulls(ctx context.Context) (all []host.Pull, err error) {
	err = c.WatchPulls(ctx, func(now []host.Pull) error { all = now; return errEnough })
	if errors.Is(err, errEnough) {
		err = nil
	}
	return all, err
}
