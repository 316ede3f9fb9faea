package warrenctl

import (
	"context"
	"io"

	"warren.io/warren/runtime/backup"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
)

// backupOf is what a node with the demo cluster sends.
func backupOf(mem *memstore.Store) func(context.Context, io.Writer) error {
	return func(ctx context.Context, w io.Writer) error {
		all, rev, err := store.Pack(ctx, mem)
		if err != nil {
			return err
		}
		b := backup.Backup{Objects: all, Files: []backup.File{{Name: "ca.crt", Data: []byte("x")}, {Name: "admin.key", Data: []byte("y")}},
			Header: backup.Header{Format: backup.Format, Warren: "0.1.0", Created: noon, Cluster: "X", Node: "n1", Revision: rev}}
		return b.Write(w)
	}
}
