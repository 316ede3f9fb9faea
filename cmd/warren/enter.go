package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	v1 "warren.io/warren/apis/v1"
	keys "warren.io/warren/runtime/identity"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

func joinCommand() *cli.Command {
	token := &cli.StringFlag{Name: "token", Usage: "what warrenctl token create printed at a manager", EnvVars: []string{"WARREN_TOKEN"}}
	return &cli.Command{Name: "join", Usage: "make this machine a node of a cluster, and run it in the foreground", ArgsUsage: "HOST:PORT",
		Flags:       append(joinFlags(), token),
		Description: "HOST:PORT is where a manager listens. Afterwards warren run with the same directories goes on.",
		Action: func(c *cli.Context) error {
			cfg, err := readConfig(c)
			if err != nil {
				return err
			}
			if c.Args().Len() != 1 || c.String("token") == "" {
				return usageError{errors.New("write: warren join HOST:PORT --token TOKEN")}
			}
			if os.Getenv(anewVariable) != "" {
				return runNode(c.Context, cfg)
			}
			if err := enter(c.Context, cfg, c.Args().First(), c.String("token")); err != nil {
				return fmt.Errorf("join: %w", err)
			}
			return runNode(c.Context, cfg)
		}}
}

// joinFlags are those of run but for what is a manager's.
func joinFlags() []cli.Flag {
	return slices.DeleteFunc(runFlags(), func(f cli.Flag) bool {
		return slices.Contains([]string{"manifests", "unlock-key-file"}, f.Names()[0])
	})
}

// behindFlags puts the address of join, which people write first, behind the flags, where it is looked for.
func behindFlags(args []string) []string {
	if len(args) > 3 && args[1] == "join" && !strings.HasPrefix(args[2], "-") {
		return append(append([]string{args[0], args[1]}, args[3:]...), args[2])
	}
	return args
}

// enter makes the machine a node: it is one when its identity is written, and before that nothing of it is there.
func enter(ctx context.Context, cfg config, manager, text string) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("must be root to run containers\ntry: sudo warren join ...")
	}
	if _, _, err := net.SplitHostPort(manager); err != nil {
		return usageError{fmt.Errorf("%q is no HOST:PORT", manager)}
	}
	token, err := keys.ParseToken(text)
	if err != nil {
		return fmt.Errorf("%w\ntry: warrenctl token create --role worker, at a manager", err)
	}
	if id, err := os.ReadFile(filepath.Join(cfg.dataDir, identityName)); err == nil {
		return fmt.Errorf("there is a node in %s already: %s\ntry: warren run, to go on with it; or warren reset, to remove it first", cfg.dataDir, strings.TrimSpace(string(id)))
	}
	undo := untouched(cfg.dataDir)
	defer func() {
		if err != nil {
			undo()
		}
	}()
	lock, err := lockDir(cfg.dataDir, 0o700)
	if err != nil {
		return err
	}
	defer lock.Close()
	return apply(ctx, cfg, manager, token)
}

// apply asks for the identity and writes it.
func apply(ctx context.Context, cfg config, manager string, token keys.Token) error {
	name := cfg.name
	if name == "" {
		name = defaultName()
	}
	applicant, err := keys.Apply(name, token.Pin)
	if err != nil {
		return err
	}
	address, _ := reachedAt(cfg.listen, cfg.advertise, []string{manager}) // who needs one says so
	joined, err := request(ctx, applicant, manager, grpcstore.Joining{Token: token.String(), Name: name, Address: address})
	if err != nil {
		return err
	}
	dir := filepath.Join(cfg.dataDir, "keys")
	if err := applicant.Save(dir, joined.Certificate, joined.Authority); err != nil {
		return err
	}
	id := identity{Name: name, Cluster: joined.Cluster, Role: v1.Role(joined.Role), Listen: cfg.listen, Advertise: cfg.named}
	if id.Managers = joined.Managers; !slices.Contains(id.Managers, manager) {
		id.Managers = append([]string{manager}, id.Managers...)
	}
	if err := id.save(cfg.dataDir); err != nil {
		return err
	}
	cfg.log.Info("joined", "node", name, "cluster", id.Cluster, "role", id.Role, "manager", manager)
	return nil
}

// How long to try to get through. The same key is used each time, so an answer that was lost costs nothing.
const (
	joinTries  = 3
	joinWithin = 20 * time.Second
)

func request(ctx context.Context, a *keys.Applicant, manager string, wish grpcstore.Joining) (grpcstore.Joined, error) {
	ctx, cancel := context.WithTimeout(ctx, joinWithin)
	defer cancel()
	var err error
	if wish.CSR, err = a.Request(); err != nil {
		return grpcstore.Joined{}, err
	}
	s, err := grpcstore.Dial(manager, grpcstore.Options{TLS: a.TLS()})
	if err != nil {
		return grpcstore.Joined{}, usageError{err}
	}
	defer s.Close()
	for try := 1; ; try++ {
		j, err := s.Join(ctx, wish)
		if err == nil || !errors.Is(err, store.ErrUnavailable) || errors.Is(err, grpcstore.ErrKeys) || try == joinTries || !sleep(ctx, again) {
			return j, reworded(err)
		}
	}
}

// reworded adds what to do about a manager that is not there.
func reworded(err error) error {
	switch {
	case errors.Is(err, grpcstore.ErrKeys):
		return fmt.Errorf("%w\ntry: the address and a token of the same cluster", err)
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w\ntry: the address that a manager was given with --listen", err)
	}
	return err
}

// untouched returns what takes away again what a join leaves in a directory: all of it, if it was not there before.
func untouched(dir string) (undo func()) {
	before, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return func() { _ = os.RemoveAll(dir) }
	}
	was := map[string]bool{}
	for _, e := range before {
		was[e.Name()] = true
	}
	return func() {
		for _, name := range []string{lockName, "keys", identityName, identityName + ".new"} {
			if !was[name] {
				_ = os.RemoveAll(filepath.Join(dir, name))
			}
		}
	}
}
