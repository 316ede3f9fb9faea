package main

import (
	"context"
	"errors"
	"fmt"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// managersStay refuses changes that would leave the cluster without managers that can decide.
type managersStay struct {
	store.Store
	node *node
}

// Commit implements store.Store.
func (m managersStay) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	for _, op := range ops {
		if op.Key.Kind != v1.NodeKind.Name || op.Verb == store.Check || !m.node.office.IsManager(op.Key.Name) {
			continue
		}
		if op.Verb == store.Put && op.Object.(*v1.Node).Spec.Role != v1.RoleWorker {
			continue
		}
		if err := m.node.quorum.MayRemove(ctx, op.Key.Name); err != nil && !errors.Is(err, store.ErrNotFound) {
			return 0, fmt.Errorf("%s: %w: %w", op.Key, store.ErrForbidden, err)
		}
	}
	return m.Store.Commit(ctx, ops...)
}
