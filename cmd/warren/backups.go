package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/urfave/cli/v2"

	"warren.io/warren/runtime/backup"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/seal"
	"warren.io/warren/runtime/server"
	"warren.io/warren/runtime/store"
)

// backupConfig says where scheduled backups go.
type backupConfig struct {
	dir, passphraseFile string
	every               time.Duration
	keep                int
}

// soonest is how often backups may be taken, and how soon one that failed is tried again.
const soonest, tryAgain = time.Second, time.Minute

func backupFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "backup-dir", Usage: "write encrypted backups of the cluster into this `DIR`, whenever something changed"},
		&cli.DurationFlag{Name: "backup-every", Value: 24 * time.Hour, Usage: "how often to look whether something changed"},
		&cli.IntFlag{Name: "backup-keep", Value: 7, Usage: "keep this many backups, the newest"},
		&cli.StringFlag{Name: "backup-passphrase-file", Usage: "the first line of this `FILE` encrypts them"},
	}
}

func readBackupConfig(c *cli.Context) (backupConfig, error) {
	b := backupConfig{dir: c.String("backup-dir"), passphraseFile: c.String("backup-passphrase-file"), every: c.Duration("backup-every"), keep: c.Int("backup-keep")}
	var err error
	switch {
	case b.dir == "" && b.passphraseFile != "":
		err = errors.New("--backup-passphrase-file: --backup-dir DIR is needed, too")
	case b.dir == "":
		return b, nil
	case b.passphraseFile == "":
		err = errors.New("--backup-dir: --backup-passphrase-file FILE is needed, too")
	case b.every < soonest:
		err = fmt.Errorf("--backup-every %s: at least %s", b.every, soonest)
	case b.keep < 1:
		err = fmt.Errorf("--backup-keep %d: at least 1", b.keep)
	}
	if err != nil {
		return b, usageError{err}
	}
	b.dir, err = filepath.Abs(b.dir)
	return b, err
}

// saved is what is known of scheduled backups.
type saved struct {
	mu      sync.Mutex
	on      bool
	current time.Time // when the newest one was last seen to hold everything
	err     error     // of the last try
}

var backupAge = desc("warren_backup_age_seconds", "Time since the newest scheduled backup was last seen to hold everything.")

// Describe implements prometheus.Collector.
func (s *saved) Describe(out chan<- *prometheus.Desc) { out <- backupAge }

// Collect implements prometheus.Collector. Where no backup is known there is no age.
func (s *saved) Collect(out chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.current.IsZero() {
		out <- gauge(backupAge, time.Since(s.current).Seconds())
	}
}

func (s *saved) checks() []server.Check {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.on {
		return nil
	}
	c := server.Check{Name: "backup", OK: true}
	if s.err != nil {
		c.Message = "warning: " + s.err.Error()
	}
	return []server.Check{c}
}

// note takes in how a try went; fresh is true for the first failure after a success.
func (s *saved) note(now time.Time, err error) (fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh = err != nil && s.err == nil
	if s.err = err; err == nil {
		s.current = now
	}
	return fresh
}

// followBackups takes backups as they are due. It looks at the store's revision in memory; while that is what the newest backup has,
// nothing is written.
func (n *node) followBackups(ctx context.Context) {
	if n.backups.dir == "" {
		return
	}
	n.saved.mu.Lock()
	n.saved.on = true
	last, _ := newest(n.backups.dir, n.id.Cluster)
	n.saved.current = last.at
	n.saved.mu.Unlock()
	for due := last.at.Add(n.backups.every); ; {
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			return
		}
		err := n.saveBackup(ctx)
		if ctx.Err() != nil {
			return
		}
		if n.saved.note(time.Now(), err) {
			n.log.Error(err, "backup failed, trying again", "dir", n.backups.dir)
			n.tellOf(ctx, "backup", control.Note{About: clusterKey, Warning: true, Reason: "BackupFailed", Message: err.Error()})
		}
		due = time.Now().Add(n.backups.every)
		if err != nil {
			due = time.Now().Add(min(tryAgain, n.backups.every))
		}
	}
}

// saveBackup writes a backup if something changed since the last one, sees that it can be read, and removes what is too old.
func (n *node) saveBackup(ctx context.Context) error {
	last, err := newest(n.backups.dir, n.id.Cluster)
	if err != nil || last.rev == n.quorum.Health().Revision {
		return err
	}
	passphrase, err := seal.Passphrase(n.backups.passphraseFile, func(string) string { return "" }, true)
	if err != nil {
		return err
	}
	b, err := n.backup(ctx)
	if err != nil {
		return err
	}
	path := filepath.Join(n.backups.dir, nameOf(b))
	if err := errors.Join(backup.Clear(n.backups.dir), b.Save(path, passphrase)); err != nil {
		return err
	}
	if _, err := backup.Open(path, passphrase); err != nil {
		return fmt.Errorf("what was just written cannot be read: %w", err)
	}
	n.log.Info("backup is written", "file", path, "revision", b.Revision)
	return thin(n.backups.dir, n.id.Cluster, n.backups.keep)
}

// found is a backup by its name.
type found struct {
	name string
	at   time.Time
	rev  store.Revision
}

const nameTime = "20060102T150405Z"

// nameOf a scheduled backup begins with its cluster, since several may share a directory, and sorts by time.
func nameOf(b *backup.Backup) string {
	return fmt.Sprintf("warren-%s-%s-r%d.backup", b.Cluster, b.Created.UTC().Format(nameTime), b.Revision)
}

// list are the backups of a cluster in a directory, oldest first. Whatever else lies there is none of our business.
func list(dir, cluster string) (all []found, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read --backup-dir: %w", err)
	}
	for _, e := range entries {
		f := found{name: e.Name()}
		rest, ours := strings.CutPrefix(f.name, "warren-"+cluster+"-")
		stamp, _, _ := strings.Cut(rest, "-")
		f.at, err = time.Parse(nameTime, stamp)
		_, bad := fmt.Sscanf(strings.TrimPrefix(rest, stamp), "-r%d.backup", &f.rev)
		if ours && err == nil && bad == nil && f.name == nameOf(&backup.Backup{Header: backup.Header{Cluster: cluster, Created: f.at, Revision: f.rev}}) {
			all = append(all, f)
		}
	}
	slices.SortFunc(all, func(a, b found) int { return a.at.Compare(b.at) })
	return all, nil
}

func newest(dir, cluster string) (found, error) {
	all, err := list(dir, cluster)
	if len(all) == 0 {
		return found{}, err
	}
	return all[len(all)-1], nil
}

// thin removes the oldest backups beyond those that are to be kept.
func thin(dir, cluster string, keep int) error {
	all, err := list(dir, cluster)
	for len(all) > keep && err == nil {
		err = os.Remove(filepath.Join(dir, all[0].name))
		all = all[1:]
	}
	return err
}
