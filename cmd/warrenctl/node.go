package warrenctl

import (
	"strings"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
)

func (p *program) nodeVerb() *cli.Command {
	return &cli.Command{
		Name: "node", Usage: "cordon, drain and uncordon nodes", ArgsUsage: "cordon|drain|uncordon NAME...",
		Subcommands: []*cli.Command{
			{Name: "cordon", Usage: "give nodes no new tasks; those that are there stay", ArgsUsage: "NAME...",
				Action: p.wishes("cordoned", func(s *v1.NodeSpec) { s.Unschedulable = true })},
			{Name: "uncordon", Usage: "give nodes new tasks again, and end a drain", ArgsUsage: "NAME...",
				Action: p.wishes("uncordoned", func(s *v1.NodeSpec) { s.Unschedulable, s.Drain = false, "" })},
			{Name: "drain", Usage: "cordon a node and have its tasks replaced on others", ArgsUsage: "NAME", Action: p.drain,
				Description: "A task goes when its successor on another node is ready, one at a time in each service. Tasks of global services stop.\n" +
					"The cluster drains, not this command: it goes on when this command ends, until warrenctl node uncordon NAME.",
				Flags: []cli.Flag{timeoutFlag(), &cli.BoolFlag{Name: "force", Usage: "stop all tasks at once, also those that no other node can take"}}},
		},
	}
}

// nodesNamed reads NAME or node/NAME of one node at least.
func nodesNamed(c *cli.Context) ([]meta.Key, error) {
	var keys []meta.Key
	for _, w := range c.Args().Slice() {
		if strings.Contains(w, "/") {
			key, err := keyOf(w)
			if err == nil && key.Kind != v1.NodeKind.Name {
				err = usagef("%s is no node", w)
			}
			if err != nil {
				return nil, err
			}
			w = key.Name
		}
		keys = append(keys, meta.Key{Kind: v1.NodeKind.Name, Name: w})
	}
	if len(keys) == 0 {
		return nil, try(usagef("%s which node?", c.Command.Name), "warrenctl get nodes")
	}
	return keys, nil
}

// wishes makes the action that changes what is wanted of nodes, all that are named or none.
func (p *program) wishes(done string, change func(*v1.NodeSpec)) cli.ActionFunc {
	return func(c *cli.Context) error {
		keys, err := nodesNamed(c)
		if err != nil {
			return err
		}
		s, err := p.server(c)
		if err != nil {
			return err
		}
		return p.modify(c.Context, s, keys, func(o meta.Object) (string, error) {
			change(&o.(*v1.Node).Spec)
			return done, nil
		})
	}
}
