package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/backup"
	"warren.io/warren/runtime/store"
)

// backup gathers what a backup holds.
func (n *node) backup(ctx context.Context) (*backup.Backup, error) {
	all, rev, err := store.Pack(ctx, n.office.behind)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	b := &backup.Backup{Objects: all, Header: backup.Header{Format: backup.Format, Warren: version, Created: time.Now().UTC().Round(time.Second),
		Cluster: n.id.Cluster, Node: n.id.Name, Revision: rev}}
	if b.Files, err = readKeys(filepath.Join(n.dataDir, "keys")); err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	if _, err := b.Decode(v1.Kinds); err != nil {
		return nil, fmt.Errorf("backup: it could not be read again: %w", err)
	}
	return b, nil
}

// readKeys reads the cluster's keys. There are none before the first --listen.
func readKeys(dir string) (files []backup.File, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if !backup.IsKey(e.Name()) {
			continue
		}
		data, failed := os.ReadFile(filepath.Join(dir, e.Name()))
		err = errors.Join(err, failed)
		files = append(files, backup.File{Name: e.Name(), Data: data})
	}
	return files, err
}

// sendBackup answers the API.
func (n *node) sendBackup(ctx context.Context, w io.Writer) error {
	if _, err := n.late.Get(ctx, clusterKey); err != nil {
		return err
	}
	b, err := n.backup(ctx)
	if err != nil {
		return err
	}
	return b.Write(w)
}
