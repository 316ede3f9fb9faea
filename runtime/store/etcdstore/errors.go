package etcdstore

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/raft/v3"
	"google.golang.org/grpc/status"

	"warren.io/warren/runtime/store"
)

// refused are errors after which certainly nothing was applied, and what they mean.
var refused = []struct {
	etcd  error
	class error
}{
	{rpctypes.ErrNoSpace, store.ErrNoSpace},
	{rpctypes.ErrRequestTooLarge, store.ErrTooLarge},
	{rpctypes.ErrTooManyOps, store.ErrTooLarge},
	{rpctypes.ErrNoLeader, store.ErrUnavailable},
	{rpctypes.ErrTooManyRequests, store.ErrUnavailable},
	{rpctypes.ErrCorrupt, store.ErrUnavailable},
}

// writeError classifies the error of a transaction. Where it wrote something and etcd does not say for certain that
// it was refused, the outcome is unknown: etcd may apply it even after a restart, as it may be in the log already.
func writeError(err error, wrote bool) error {
	for _, r := range refused {
		if errors.Is(err, r.etcd) {
			return fmt.Errorf("%w: %w", r.class, err)
		}
	}
	if !wrote {
		return readError(err)
	}
	if says(err, raft.ErrProposalDropped) {
		return fmt.Errorf("%w: no leader", store.ErrUnavailable)
	}
	return fmt.Errorf("%w: %w", store.ErrUnknown, err)
}

// readError classifies the error of a read. An ended context stays visible as such.
func readError(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, rpctypes.ErrCompacted):
		return fmt.Errorf("%w: %w", store.ErrCompacted, err)
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

// says recognizes an error that etcd passes on as text only.
func says(err, want error) bool {
	s, ok := status.FromError(err)
	return errors.Is(err, want) || ok && s.Message() == want.Error()
}
