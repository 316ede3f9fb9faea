package warrenctl

import (
	"context"
	"errors"
	"io"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/backup"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
)

// backupOf is what a node with the demo cluster sends. Its resource Cluster is made by the node itself.
func backupOf(mem *memstore.Store) func(context.Context, io.Writer) error {
	return func(ctx context.Context, w io.Writer) error {
		c := meta.New[v1.Cluster](v1.ClusterName)
		c.Spec.ID = "X"
		if _, err := mem.Commit(ctx, store.CreateOp(c)); err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
		all, rev, err := store.Pack(ctx, mem)
		if err != nil {
			return err
		}
		b := backup.Backup{Objects: all, Files: []backup.File{{Name: "ca.crt", Data: []byte("x")}, {Name: "admin.key", Data: []byte("y")}},
			Header: backup.Header{Format: backup.Format, Warren: "0.1.0", Created: noon, Cluster: "X", Node: "n1", Revision: rev}}
		return b.Write(w)
	}
}
