package warrenctl

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	"warren.io/warren/runtime/store/grpcstore"
)

func (p *program) backupVerb() *cli.Command {
	pass := &cli.StringFlag{Name: "passphrase-file", Usage: "the first line of this `FILE` is the passphrase (default: the variable " + seal.Variable + ", or the terminal)"}
	return &cli.Command{
		Name: "backup", Usage: "save the whole cluster in one encrypted file, check such a file, and begin anew with it", ArgsUsage: "create|verify|restore ...",
		Subcommands: []*cli.Command{
			{Name: "create", Usage: "save all resources and the cluster's keys", ArgsUsage: " ", Action: p.createBackup,
				Description: "The file is encrypted with the passphrase and for nobody else to read (mode 0600). It holds all resources at one\n" +
					"revision, values of environment variables included, and the keys of DATA_DIR/keys; images, logs and volumes are not in\n" +
					"it. `warren recover --from FILE` makes a node of it.",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "the `FILE` to write (default: warren-NODE-TIME.backup here)"}, pass,
				}},
			{Name: "verify", Usage: "see that a backup can be recovered from, and what is in it", ArgsUsage: "FILE", Action: p.verifyBackup,
				Description: "The file is decrypted, every resource is read, and a store is made of it in a temporary directory and started, as\n" +
					"`warren recover` does. No node is needed.",
				Flags: []cli.Flag{pass}},
			{Name: "restore", Usage: "make this machine a manager of a backup; the same as warren recover --from FILE", ArgsUsage: "FILE", Action: p.restoreBackup,
				Description: "warren must not run here. Tasks that run here and that the backup knows are taken over. Other managers of the cluster must\n" +
					"not run any more. Run as root.",
				Flags: []cli.Flag{pass, &cli.BoolFlag{Name: "force", Usage: "replace the store and the keys that are there"},
					&cli.StringFlag{Name: "data-dir", Value: "/var/lib/warren", EnvVars: []string{"WARREN_DATA_DIR"}, Usage: "that of the node"},
					&cli.StringFlag{Name: "run-dir", Value: "/run/warren", EnvVars: []string{"WARREN_RUN_DIR"}, Usage: "that of the node"}}},
		},
	}
}

// Recover runs warren recover with these arguments and returns its exit code. Package main sets it: the node is there.
var Recover func(args []string) int

func (p *program) restoreBackup(c *cli.Context) error {
	if c.Args().Len() != 1 {
		return try(usagef("restore what?"), "warrenctl backup restore FILE")
	}
	args := []string{"--from", c.Args().First(), "--data-dir", c.String("data-dir"), "--run-dir", c.String("run-dir")}
	if f := c.String("passphrase-file"); f != "" {
		args = append(args, "--passphrase-file", f)
	}
	if c.Bool("force") {
		args = append(args, "--force")
	}
	p.note("warren recover %s", strings.Join(args, " "))
	if code := Recover(args); code != 0 {
		return &exit{code: code}
	}
	return nil
}

func (p *program) createBackup(c *cli.Context) error {
	if c.Args().Present() {
		return try(usagef("backup create takes no arguments"), "warrenctl backup create -o %s", c.Args().First())
	}
	s, err := p.server(c)
	if err != nil {
		return err
	}
	passphrase, err := p.passphrase(c, true)
	if err != nil {
		return err
	}
	b, err := fetchBackup(c.Context, s)
	if err != nil {
		return fmt.Errorf("backup create: %w", err)
	}
	path := c.String("output")
	if path == "" {
		path = fmt.Sprintf("warren-%s-%s.backup", b.Node, p.now().UTC().Format("20060102T150405Z"))
	}
	if err := b.Save(path, passphrase); err != nil {
		return err
	}
	p.printf("%s\n", path)
	p.note("%d resources at revision %d, %d keys; keep the passphrase elsewhere: without it the file is of no use", len(b.Objects), b.Revision, len(b.Files))
	return nil
}

func (p *program) passphrase(c *cli.Context, fresh bool) (string, error) {
	word, err := seal.Passphrase(c.String("passphrase-file"), p.getenv, fresh)
	switch {
	case errors.Is(err, seal.ErrNoPassphrase):
		return "", try(usagef("%v", err), "--passphrase-file FILE, or the variable %s", seal.Variable)
	case err != nil:
		return "", usagef("%v", err)
	}
	return word, nil
}

// fetchBackup reads what the node sends, to its end: half of it must not be saved.
func fetchBackup(ctx context.Context, s *grpcstore.Store) (*backup.Backup, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, out := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := s.Backup(ctx, out)
		_ = out.CloseWithError(err) // nil is the end
		sent <- err
	}()
	b, err := backup.Read(in)
	_ = in.CloseWithError(errors.New("nobody reads on"))
	if failed := <-sent; failed != nil && (err == nil || errors.Is(err, failed)) {
		return nil, failed
	}
	return b, err
}

func (p *program) verifyBackup(c *cli.Context) error {
	if c.NArg() != 1 {
		return try(usagef("verify which backup?"), "warrenctl backup verify FILE")
	}
	path := c.Args().First()
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("backup verify: %w", err)
	}
	passphrase, err := p.passphrase(c, false)
	if err != nil {
		return err
	}
	b, err := backup.Open(path, passphrase)
	if err != nil {
		return notABackup(err)
	}
	all, err := b.Decode(v1.Kinds)
	if err == nil {
		err = boot(c.Context, b, all)
	}
	if err != nil {
		return fmt.Errorf("backup verify %s: %w", path, err)
	}
	p.showBackup(b, all)
	return nil
}

func notABackup(err error) error {
	if errors.Is(err, seal.ErrDamaged) || errors.Is(err, seal.ErrCutOff) {
		return try(err, "another copy or an older backup; this one cannot be used, not even in part")
	}
	return err
}

// boot makes a store of a backup and starts it.
func boot(ctx context.Context, b *backup.Backup, all []meta.Object) error {
	dir, err := os.MkdirTemp("", "warren-verify-")
	if err != nil {
		return err
	}
	err = quorum.Plant(ctx, quorum.Config{DataDir: filepath.Join(dir, "etcd"), Name: "verify", Kinds: v1.Kinds, Log: logr.Discard()}, all, b.Revision)
	return errors.Join(err, os.RemoveAll(dir))
}

func (p *program) showBackup(b *backup.Backup, all []meta.Object) {
	counts := map[string]int{}
	for _, o := range all {
		counts[o.Key().Kind]++
	}
	var files []string
	for _, f := range b.Files {
		files = append(files, f.Name)
	}
	slices.Sort(files)
	t := table{{"cluster", b.Cluster}, {"node", b.Node}, {"created", b.Created.UTC().Format(time.RFC3339)}, {"warren", b.Warren},
		{"revision", fmt.Sprint(b.Revision)}, {"keys", strings.Join(files, " ")}}
	for _, k := range meta.SortedKeys(counts) {
		t = append(t, []string{k, fmt.Sprint(counts[k])})
	}
	t.print(p.out)
	p.printf("ok: a store made of it was started and holds all of it\n")
}
