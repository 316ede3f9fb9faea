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
		Name: "restart", Usage: "replace the tasks of services, one by one", ArgsUsage: "service/NAME...",
		Description: "Each task is replaced by a new one when the one before runs. What the image's tag means is looked up anew.\n" +
			"To replace one task alone: warrenctl delete task/NAME",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "wait", Usage: "wait until all new tasks run"},
			timeoutFlag(),
		},
		Action: func(c *cli.Context) error {
			keys, err := restartable(c.Args().Slice())
			if err != nil {
				return err
			}
			s, err := p.server(c)
			if err != nil {
				return err
			}
			return p.restart(c, s, keys)
		},
	}
}

func restartable(words []string) ([]meta.Key, error) {
	kind, keys, err := keysOf(words)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		switch key.Kind {
		case v1.ServiceKind.Name:
		case v1.TaskKind.Name:
			return nil, try(usagef("a task is not restarted but replaced: delete it, and its service makes another"), "warrenctl delete %s", lower(key.Kind, key.Name))
		default:
			return nil, usagef("a %s cannot be restarted; restart services", strings.ToLower(key.Kind))
		}
	}
	switch {
	case len(keys) == 0 && kind != nil:
		return nil, usagef("restart which of the %s? name them", kind.Plural)
	case len(keys) == 0:
		return nil, try(usagef("restart what?"), "warrenctl restart service/NAME")
	}
	return keys, nil
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
