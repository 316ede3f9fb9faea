package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/backup"
	"warren.io/warren/runtime/quorum"
	"warren.io/warren/runtime/seal"
	"warren.io/warren/runtime/store"
)

func recoverCommand() *cli.Command {
	return &cli.Command{Name: "recover", Usage: "make the store of this node anew from a backup, or see whether it can be used as it is", Flags: append(dirFlags(),
		&cli.StringFlag{Name: "from", Usage: "the backup `FILE`; without it the store in --data-dir is checked"},
		&cli.StringFlag{Name: "passphrase-file", Usage: "the first line of this `FILE` is the passphrase (default: the variable " + seal.Variable + ", or the terminal)"},
		&cli.BoolFlag{Name: "alone", Usage: "make this manager the only one, with what its store has: the others are lost for good"},
		&cli.BoolFlag{Name: "force", Usage: "replace the store and the keys that are there"},
		&cli.BoolFlag{Name: "stop-unknown", Usage: "after a recovery: let the next run stop the tasks here that the recovered store does not know"}),
		Description: "warren must not run. Containers, images and logs in --data-dir are left as they are: what the backup knows is taken over.",
		Action: func(c *cli.Context) error {
			data, run, err := dirs(c)
			if err != nil {
				return err
			}
			r := recovery{data: data, run: run, from: c.String("from"), force: c.Bool("force")}
			if c.Bool("stop-unknown") && r.from != "" {
				return usageError{errors.New("--stop-unknown: first recover and run, and see what is unknown")}
			}
			if c.Bool("alone") {
				if r.from != "" || c.Bool("stop-unknown") {
					return usageError{errors.New("--alone: it takes what this manager has; leave out --from and --stop-unknown")}
				}
				return r.locked(func() error { return r.alone(c.Context) })
			}
			if r.from == "" {
				return r.locked(func() error { return r.present(c.Context, c.Bool("stop-unknown")) })
			}
			r.passphrase, err = seal.Passphrase(c.String("passphrase-file"), os.Getenv, false)
			if errors.Is(err, seal.ErrNoPassphrase) {
				err = fmt.Errorf("%w; try: --passphrase-file FILE, or the variable %s", err, seal.Variable)
			}
			if err != nil {
				return fmt.Errorf("recover: %w", err)
			}
			return r.recover(c.Context)
		}}
}

// recovery is one call.
type recovery struct {
	data, run, from, passphrase string
	force                       bool
}

// locked does something while no warren can use the data directory.
func (r recovery) locked(do func() error) error {
	if _, err := os.Stat(r.data); r.from == "" && err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	lock, err := lockDir(r.data, 0o700)
	if errors.Is(err, errLocked) {
		return fmt.Errorf("recover: warren is running with %s; try: warren stop", r.data)
	}
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	defer lock.Close()
	if err := do(); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	return nil
}

// present works on the store that is there.
func (r recovery) present(ctx context.Context, stopUnknown bool) error {
	id, err := readIdentity(r.data)
	if err != nil {
		return err
	}
	if stopUnknown {
		if !id.Hold {
			return errors.New("no task is held: every one on this machine is known to the store")
		}
		id.Hold = false
		fmt.Fprintln(os.Stderr, "tasks that the recovered store does not know are stopped by the next warren run")
		return id.save(r.data)
	}
	if len(id.Managers) > 0 {
		return fmt.Errorf("node %s is one of several managers: %s; while most of them live, nothing has to be recovered: warren run\n"+
			"try: warren recover --alone, only if the others are lost for good", id.Name, strings.Join(id.Managers, ", "))
	}
	if !quorum.Exists(r.etcd()) {
		return fmt.Errorf("there is no store in %s; try: warren recover --from BACKUP", r.etcd())
	}
	q, err := quorum.Start(ctx, quorum.Config{DataDir: r.etcd(), Name: id.Name, Kinds: v1.Kinds, Log: logr.Discard(), Expendable: []string{"Event"}})
	if err != nil {
		return fmt.Errorf("%w; try: warren recover --from BACKUP --force", err)
	}
	return errors.Join(r.inspect(ctx, q, id), q.Close())
}

func (r recovery) inspect(ctx context.Context, q *quorum.Quorum, id identity) error {
	all, rev, err := q.Store().List(ctx)
	if err != nil {
		return err
	}
	o, err := q.Store().Get(ctx, clusterKey)
	if err != nil {
		return fmt.Errorf("the store in %s belongs to no cluster: %w; try: warren recover --from BACKUP --force", r.etcd(), err)
	}
	if cluster := o.(*v1.Cluster).Spec.ID; cluster != id.Cluster || rev < id.Epoch {
		return fmt.Errorf("%w: node %s belongs to cluster %s since revision %d, the store is of %s at %d", errForeign, id.Name, id.Cluster, id.Epoch, cluster, rev)
	}
	fmt.Printf("the store of node %s is well: %d resources at revision %d; it is the only member, nothing has to be recovered\n", id.Name, len(all), rev)
	return nil
}

func (r recovery) etcd() string { return filepath.Join(r.data, "etcd") }

// recover makes a data directory from a backup. The identity is written before the stores are exchanged: killed in between, run finds
// a store from before the epoch, or none, and stays out until this is done again. Killed earlier, what was there is as it was.
func (r recovery) recover(ctx context.Context) error {
	b, err := backup.Open(r.from, r.passphrase)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	all, err := b.Decode(v1.Kinds)
	if err != nil {
		return fmt.Errorf("recover: %s: %w", r.from, err)
	}
	if err := r.free(); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	return r.locked(func() error { return r.plant(ctx, b, all) })
}

// free sees that nothing is written over unasked, and that tasks which run can be taken over.
func (r recovery) free() error {
	if r.force {
		return nil
	}
	entries, err := os.ReadDir(r.data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if e.Name() != lockName {
			return fmt.Errorf("%s is not empty: it has %s; with --force its store and keys are replaced", r.data, e.Name())
		}
	}
	if left, _ := os.ReadDir(filepath.Join(r.run, "tasks")); len(left) > 0 {
		return fmt.Errorf("tasks run below %s whose data directory is not %s; recover into theirs with --force, or restart the machine", r.run, r.data)
	}
	return nil
}

// alone makes a store of this manager alone, of what it has; the others of its cluster are not obeyed any more.
func (r recovery) alone(ctx context.Context) error {
	id, err := readIdentity(r.data)
	switch {
	case err != nil:
		return err
	case id.worker():
		return fmt.Errorf("node %s is a worker and has no store; try: warren recover --from BACKUP, or a manager's directory", id.Name)
	}
	all, rev, err := quorum.Salvage(ctx, quorum.Config{DataDir: r.etcd(), Name: id.Name, Kinds: v1.Kinds, Log: logr.Discard(), Expendable: []string{"Event"}}, r.etcd()+".copy")
	if err != nil {
		return err
	}
	now := time.Now()
	id.Epoch, id.Hold, id.Managers = epoch(max(rev, id.Epoch), now, now), true, nil
	fresh := r.etcd() + ".recovered"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := quorum.Plant(ctx, quorum.Config{DataDir: fresh, Name: id.Name, Kinds: v1.Kinds, Log: logr.Discard()}, all, id.Epoch); err != nil {
		return err
	}
	if err := id.save(r.data); err != nil {
		return err
	}
	old, err := r.exchange(fresh, id.Epoch)
	if err != nil {
		return err
	}
	fmt.Printf("node %s is the only manager of cluster %s: %d resources; its store begins at revision %d\n", id.Name, id.Cluster, len(all), id.Epoch)
	fmt.Fprintf(os.Stderr, "the store from before is kept in %s; remove it when all is well\nthe other managers must not run any more: warren reset there, then join anew\nnow: warren run\n", old)
	return nil
}

func (r recovery) plant(ctx context.Context, b *backup.Backup, all []meta.Object) error {
	id, err := readIdentity(r.data)
	anew := err != nil // then it is written first: run must not take half a recovery for a place to begin a cluster
	if anew {
		id = identity{Name: b.Node}
	}
	fresh := r.etcd() + ".recovered"
	id.Cluster, id.Epoch, id.Hold = b.Cluster, epoch(max(b.Revision, id.Epoch), b.Created, time.Now()), true
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if anew {
		if err := id.save(r.data); err != nil {
			return err
		}
	}
	if err := quorum.Plant(ctx, quorum.Config{DataDir: fresh, Name: id.Name, Kinds: v1.Kinds, Log: logr.Discard()}, all, id.Epoch); err != nil {
		return err
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(r.data, "keys"), 0o700), id.save(r.data)); err != nil {
		return err
	}
	if err := forget(filepath.Join(r.data, "keys"), b.Files); err != nil {
		return err
	}
	for _, f := range b.Files {
		if err := writeFile(filepath.Join(r.data, "keys", f.Name), f.Data); err != nil {
			return err
		}
	}
	old, err := r.exchange(fresh, id.Epoch)
	if err != nil {
		return err
	}
	fmt.Printf("node %s of cluster %s is recovered: %d resources of %s; its store begins at revision %d\n",
		id.Name, id.Cluster, len(all), b.Created.UTC().Format(time.RFC3339), id.Epoch)
	if old != "" {
		fmt.Fprintf(os.Stderr, "the store from before is kept in %s; remove it when all is well\n", old)
	}
	fmt.Fprintln(os.Stderr, "now: warren run")
	return nil
}

// forget removes the keys of what was there before: where the backup has the authority's key sealed and another one lies beside it,
// nobody could tell which counts.
func forget(dir string, files []backup.File) error {
	if len(files) == 0 {
		return nil
	}
	there, err := os.ReadDir(dir)
	for _, e := range there {
		kept := slices.ContainsFunc(files, func(f backup.File) bool { return f.Name == e.Name() })
		if backup.IsKey(e.Name()) && !kept {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// exchange moves the store from before aside and the new one to its place.
func (r recovery) exchange(fresh string, at store.Revision) (old string, err error) {
	if _, err := os.Stat(r.etcd()); err == nil {
		old = fmt.Sprintf("%s.before-%d", r.etcd(), at)
		if err := os.Rename(r.etcd(), old); err != nil {
			return "", err
		}
	}
	if err := os.Rename(fresh, r.etcd()); err != nil {
		return "", err
	}
	dir, err := os.Open(r.data)
	if err != nil {
		return "", err
	}
	return old, errors.Join(dir.Sync(), dir.Close())
}

// perSecond is more than any cluster commits in a second for long.
const perSecond = 1000

// epoch is the revision at which a recovered store begins: beyond all that any store of this cluster has had, also of those that
// went on after the backup or were recovered from it before. So it comes from the clock, or where that is wrong, from the backup.
func epoch(past store.Revision, created, now time.Time) store.Revision {
	if now.Before(created) {
		now = created
	}
	return max(now.Unix()*perSecond, past+perSecond*perSecond)
}
