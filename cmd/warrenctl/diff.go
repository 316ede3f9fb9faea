package warrenctl

import (
	"github.com/urfave/cli/v2"

	"warren.io/warren/runtime/manifest"
)

func (p *program) diffVerb() *cli.Command {
	return &cli.Command{
		Name: "diff", Usage: "show what apply would change", ArgsUsage: "-f FILE|DIR|- ...",
		Description: "Exit code 3 means that there are changes, 0 that there are none.",
		Flags:       []cli.Flag{fileFlag()},
		Action: func(c *cli.Context) error {
			objects, err := p.read(c)
			if err != nil {
				return err
			}
			s, err := p.server(c)
			if err != nil {
				return err
			}
			plan, err := manifest.Compare(c.Context, written(s), objects, manifest.Options{})
			if err != nil {
				return hint(err)
			}
			p.changesOf(plan)
			if plan.Changes() > 0 {
				return &exit{code: codeNo}
			}
			return nil
		},
	}
}

// changesOf prints one line for an object that comes or goes, and one for each field of an object that changes.
func (p *program) changesOf(plan manifest.Plan) {
	for _, s := range plan.Steps {
		name := lower(s.Key.Kind, s.Key.Name)
		switch s.Action {
		case manifest.Created:
			p.printf("+ %s\n", name)
		case manifest.Deleted:
			p.printf("- %s\n", name)
		case manifest.Configured:
			p.printf("~ %s\n", name)
			t := table{}
			for _, f := range s.Fields {
				t = append(t, []string{"    " + f.Path, dash(f.From) + " -> " + dash(f.To)})
			}
			t.printAligned(p.out, t.widths())
		}
	}
}

func dash(value string) string {
	if value == "" {
		return "-"
	}
	return value
}
