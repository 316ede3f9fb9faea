package warrenctl

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/manifest"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

func fileFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "file", Aliases: []string{"f"}, Usage: "file, directory or - for stdin; may be given several times"}
}

func (p *program) applyVerb() *cli.Command {
	return &cli.Command{
		Name: "apply", Usage: "make the cluster as files say, all or nothing", ArgsUsage: "-f FILE|DIR|- ...",
		Description: aboutSets + "\n" +
			"Exit code with --wait: 0 when all of it runs, 3 when some of it cannot, 4 when that took too long.",
		Flags: append([]cli.Flag{
			fileFlag(),
			&cli.BoolFlag{Name: "dry-run", Usage: "say what would happen and change nothing"},
			&cli.BoolFlag{Name: "wait", Usage: "wait until all tasks of the applied services run what was applied, and pruned ones are gone"},
			timeoutFlag(),
			&cli.BoolFlag{Name: "force", Usage: "prune also more than half of the set"},
		}, setFlags()...),
		Action: p.apply,
	}
}

func (p *program) apply(c *cli.Context) error {
	o, err := options(c)
	if err != nil {
		return err
	}
	objects, err := p.read(c)
	if err != nil {
		return err
	}
	s, err := p.server(c)
	if err != nil {
		return err
	}
	if c.Bool("dry-run") {
		return p.dryRun(c.Context, s, objects, o)
	}
	plan, err := manifest.Apply(c.Context, written(s), objects, o)
	if err != nil {
		return hint(err)
	}
	p.steps(plan, "")
	if !c.Bool("wait") {
		return nil
	}
	return p.waitForPlan(c.Context, s, plan, c.Duration("timeout"))
}

// waitForPlan returns when what was applied runs and what was removed is gone.
func (p *program) waitForPlan(ctx context.Context, s *grpcstore.Store, plan manifest.Plan, most time.Duration) error {
	var kept []meta.Key
	gone := &leaving{left: map[meta.Key]bool{}, uids: map[meta.Key]int64{}}
	for _, step := range plan.Steps {
		if step.Action == manifest.Deleted {
			gone.keys = append(gone.keys, step.Key)
			gone.uids[step.Key] = step.From.Meta().UID
		} else {
			kept = append(kept, step.Key)
		}
	}
	end := time.Now().Add(most)
	if err := p.waiting(kept).run(ctx, s, most); err != nil || len(gone.keys) == 0 {
		return err
	}
	return gone.wait(ctx, p, s, time.Until(end))
}

// read returns the objects of all -f.
func (p *program) read(c *cli.Context) ([]meta.Object, error) {
	files := c.StringSlice("file")
	switch {
	case len(files) == 0 && c.Args().Present():
		return nil, try(usagef("%s needs -f before a file", c.Command.Name), "warrenctl %s -f %s", c.Command.Name, c.Args().First())
	case len(files) == 0:
		return nil, try(usagef("%s what? name files with -f", c.Command.Name), "warrenctl %s -f FILE|DIR|-", c.Command.Name)
	case c.Args().Present():
		return nil, usagef("%q is too much; each file needs its own -f", c.Args().First())
	}
	docs, err := manifest.Read(p.in, files...)
	return manifest.Objects(docs), err
}

// written is the part of a store that people write: all that applying has to look at.
func written(s *grpcstore.Store) store.Store {
	var names []string
	for _, k := range v1.Kinds {
		if k.Written() {
			names = append(names, k.Name)
		}
	}
	return s.Only(names...)
}

func (p *program) dryRun(ctx context.Context, s *grpcstore.Store, objects []meta.Object, o manifest.Options) error {
	plan, err := manifest.Compare(ctx, written(s), objects, o)
	if err != nil {
		return hint(err)
	}
	p.steps(plan, " (dry run)")
	return nil
}

func (p *program) steps(plan manifest.Plan, suffix string) {
	for _, s := range plan.Steps {
		p.printf("%s %s%s\n", lower(s.Key.Kind, s.Key.Name), s.Action, suffix)
	}
}
