package warrenctl

import (
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store/grpcstore"
)

func (p *program) restartVerb() *cli.Command {
	return &cli.Command{
		Name: "restart", Usage: "replace the tasks of services, one by one", ArgsUsage: "service/NAME... | services -l SELECTOR|--all",
		Description: "Each task is replaced by a new one when the one before runs. What the image's tag means is looked up anew.\n" +
			"To replace one task alone: warrenctl delete task/NAME",
		Flags: append(subjectFlags(), &cli.BoolFlag{Name: "wait", Usage: "wait until all new tasks run"}, timeoutFlag()),
		Action: func(c *cli.Context) error {
			x, err := restartable(c)
			if err != nil {
				return err
			}
			s, err := p.server(c)
			if err != nil {
				return err
			}
			keys, err := x.find(c.Context, p, s)
			if err != nil || len(keys) == 0 {
				return err
			}
			return p.restart(c, s, keys)
		},
	}
}

func restartable(c *cli.Context) (*subject, error) {
	x, err := subjectOf(c, c.Args().Slice(), "warrenctl restart service/NAME")
	if err != nil {
		return nil, err
	}
	for _, k := range x.kinds() {
		switch k {
		case v1.ServiceKind:
		case v1.TaskKind:
			name := "NAME"
			if len(x.keys) == 1 {
				name = x.keys[0].Name
			}
			return nil, try(usagef("a task is not restarted but replaced: delete it, and its service makes another"), "warrenctl delete task/%s", name)
		default:
			return nil, try(usagef("a %s cannot be restarted; restart services", strings.ToLower(k.Name)), "warrenctl restart service/NAME")
		}
	}
	return x, nil
}

func (p *program) restart(c *cli.Context, s *grpcstore.Store, keys []meta.Key) error {
	before := map[meta.Key]string{}
	err := p.modify(c.Context, s, keys, func(o meta.Object) (string, error) {
		svc := o.(*v1.Service)
		before[o.Key()] = svc.Status.Image.Template
		if svc.Metadata.Annotations == nil {
			svc.Metadata.Annotations = map[string]string{}
		}
		svc.Metadata.Annotations[v1.RestartedAt] = p.now().UTC().Format(time.RFC3339Nano)
		return "restarting", nil
	})
	if err != nil || !c.Bool("wait") {
		return err
	}
	w := p.waiting(keys)
	w.before = before
	return w.run(c.Context, s, c.Duration("timeout"))
}
