package main

import (
	"context"
	"fmt"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// leaderStays refuses to remove the node that leads, which runs the controllers that removing needs.
type leaderStays struct {
	store.Store
	node    string
	leading func() bool
}

// Commit implements store.Store.
func (l leaderStays) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	for _, op := range ops {
		if op.Verb == store.Delete && op.Key.Kind == v1.NodeKind.Name && op.Key.Name == l.node && l.leading() {
			return 0, fmt.Errorf("delete %s: %w: it leads the cluster", op.Key, store.ErrForbidden)
		}
	}
	return l.Store.Commit(ctx, ops...)
}
