package warrenctl

import (
	"context"
	"errors"

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
		Description: "Objects that no file names stay as they are.",
		Flags: []cli.Flag{
			fileFlag(),
			&cli.BoolFlag{Name: "dry-run", Usage: "say what would happen and change nothing"},
			&cli.BoolFlag{Name: "wait", Usage: "wait until all tasks of the applied services run what was applied"},
			timeoutFlag(),
		},
		Action: func(c *cli.Context) error {
			objects, err := p.read(c)
			if err != nil {
				return err
			}
			s, err := p.server(c)
			if err != nil {
				return err
			}
			if c.Bool("dry-run") {
				return p.dryRun(c.Context, s, objects)
			}
			plan, err := manifest.Apply(c.Context, written(s), objects, manifest.Options{})
			if err != nil {
				return hint(err)
			}
			p.steps(plan, "")
			if !c.Bool("wait") {
				return nil
			}
			return p.waiting(keysOfPlan(plan)).run(c.Context, s, c.Duration("timeout"))
		},
	}
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
		if k.UserWrites {
			names = append(names, k.Name)
		}
	}
	return s.Only(names...)
}

func (p *program) dryRun(ctx context.Context, s *grpcstore.Store, objects []meta.Object) error {
	plan, err := manifest.Compare(ctx, written(s), objects, manifest.Options{})
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

func keysOfPlan(plan manifest.Plan) []meta.Key {
	var out []meta.Key
	for _, s := range plan.Steps {
		out = append(out, s.Key)
	}
	return out
}

// hint adds the next step to errors of applying.
func hint(err error) error {
	if errors.Is(err, manifest.ErrLeaving) {
		return try(err, "the same again in a moment")
	}
	return err
}

// setOf is the name of the set that applied an object, or "".
func setOf(o meta.Object) string { return o.Meta().Labels[manifest.SetLabel] }
