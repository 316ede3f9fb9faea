package warrenctl

import (
	"context"
	"strings"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/manifest"
	"warren.io/warren/runtime/store/grpcstore"
)

func (p *program) diffVerb() *cli.Command {
	return &cli.Command{
		Name: "diff", Usage: "show what apply would change", ArgsUsage: "-f FILE|DIR|- ...",
		Description: "It also says which tasks would be replaced or stopped. Exit code 3 means that there are changes, 0 that there are none.",
		Flags:       append([]cli.Flag{fileFlag()}, setFlags()...),
		Action: func(c *cli.Context) error {
			o, err := options(c)
			if err != nil {
				return err
			}
			o.Guard = manifest.GuardNone // looking harms nothing
			objects, err := p.read(c)
			if err != nil {
				return err
			}
			s, err := p.server(c)
			if err != nil {
				return err
			}
			plan, err := manifest.Compare(c.Context, written(s), objects, o)
			if err != nil {
				return hint(err)
			}
			return p.diff(c.Context, s, plan)
		},
	}
}

func (p *program) diff(ctx context.Context, s *grpcstore.Store, plan manifest.Plan) error {
	if plan.Changes() == 0 {
		return nil
	}
	tasks, _, err := s.Only(v1.TaskKind.Name).List(ctx)
	if err != nil {
		return err
	}
	p.changesOf(plan, tasks)
	return &exit{code: codeNo}
}

// changesOf prints one line for an object that comes or goes, one for each field of an object that changes, and what
// that means for the tasks.
func (p *program) changesOf(plan manifest.Plan, tasks []meta.Object) {
	for _, s := range plan.Steps {
		name := lower(s.Key.Kind, s.Key.Name)
		t := table{}
		switch s.Action {
		case manifest.Unchanged:
			continue
		case manifest.Created:
			p.printf("+ %s\n", name)
		case manifest.Deleted:
			p.printf("- %s\n", name)
		case manifest.Configured:
			p.printf("~ %s\n", name)
			for _, f := range s.Fields {
				t = append(t, []string{"    " + f.Path, dash(f.From) + " -> " + dash(f.To)})
			}
		}
		for _, l := range consequences(s, tasks) {
			t = append(t, []string{"    " + l[0], l[1]})
		}
		t.printAligned(p.out, t.widths())
	}
}

// consequences say which tasks a step stops, and which it replaces.
func consequences(s manifest.Step, tasks []meta.Object) [][2]string {
	was, ok := s.From.(*v1.Service)
	if !ok {
		return nil
	}
	now, _ := s.To.(*v1.Service)
	var stopped, replaced []string
	for _, o := range sorted(v1.TaskKind, indexed(v1.TaskKind, tasks, meta.IndexEntry{Index: v1.ByService, Value: s.Key.Name})) {
		t := o.(*v1.Task)
		switch {
		case !t.Metadata.Deleted.IsZero():
		case now == nil, now.Spec.Mode != was.Spec.Mode, now.Spec.Mode == v1.Replicated && t.Spec.Slot > *now.Spec.Replicas:
			stopped = append(stopped, t.Metadata.Name)
		case v1.TemplateHash(was) != v1.TemplateHash(now):
			replaced = append(replaced, t.Metadata.Name)
		}
	}
	var out [][2]string
	if len(stopped) > 0 {
		out = append(out, [2]string{"stops", strings.Join(stopped, ", ")})
	}
	if len(replaced) > 0 {
		how := ""
		if len(replaced) > 1 {
			how = ", one by one"
		}
		out = append(out, [2]string{"replaces", strings.Join(replaced, ", ") + how})
	}
	return out
}

func dash(value string) string {
	if value == "" {
		return "-"
	}
	return value
}
