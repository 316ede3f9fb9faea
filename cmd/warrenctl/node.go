package warrenctl

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

func (p *program) nodeVerb() *cli.Command {
	return &cli.Command{
		Name: "node", Usage: "cordon, drain, uncordon, promote, demote and remove nodes", ArgsUsage: "cordon|drain|uncordon|promote|demote|rm NAME...",
		Subcommands: []*cli.Command{
			{Name: "cordon", Usage: "give nodes no new tasks; those that are there stay", ArgsUsage: "NAME...",
				Action: p.wishes("cordoned", func(s *v1.NodeSpec) { s.Unschedulable = true })},
			{Name: "uncordon", Usage: "give nodes new tasks again, and end a drain", ArgsUsage: "NAME...",
				Action: p.wishes("uncordoned", func(s *v1.NodeSpec) { s.Unschedulable, s.Drain = false, "" })},
			{Name: "drain", Usage: "cordon a node and have its tasks replaced on others", ArgsUsage: "NAME", Action: p.drain,
				Description: "A task goes when its successor on another node is ready, one at a time in each service. Tasks of global services stop.\n" +
					"The cluster drains, not this command: it goes on when this command ends, until warrenctl node uncordon NAME.",
				Flags: []cli.Flag{timeoutFlag(), &cli.BoolFlag{Name: "force", Usage: "stop all tasks at once, also those that no other node can take"}}},
			{Name: "promote", Usage: "make workers managers, which keep the cluster's state", ArgsUsage: "NAME...", Action: p.promote,
				Description: "A worker has to run with --listen for that. It becomes a manager within seconds; its tasks go on."},
			{Name: "demote", Usage: "make managers workers", ArgsUsage: "NAME...", Action: p.demote,
				Description: "It is refused where the managers that are left and can be reached would be no majority. Tasks go on."},
			{Name: "rm", Aliases: []string{"remove"}, Usage: "remove nodes that will not come back", ArgsUsage: "NAME...", Action: p.removeNodes,
				Description: "The tasks of a node that is Down are replaced elsewhere, also those that wait for it. One that lives after all stops what it\n" +
					"runs and makes itself known again.",
				Flags: []cli.Flag{&cli.BoolFlag{Name: "force", Usage: "also nodes that are not Down: their tasks stop"}}},
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

func (p *program) removeNodes(c *cli.Context) error {
	keys, err := nodesNamed(c)
	if err != nil {
		return err
	}
	s, err := p.server(c)
	if err != nil {
		return err
	}
	if c.Bool("force") {
		if err := spareLast(c.Context, s, keys); err != nil {
			return err
		}
		err := p.modify(c.Context, s, keys, func(o meta.Object) (string, error) {
			spec := &o.(*v1.Node).Spec
			spec.Unschedulable, spec.Drain = true, v1.DrainForce
			return "draining by force", nil
		})
		if err != nil {
			return err
		}
	}
	var ops []store.Op
	for _, key := range keys {
		ops = append(ops, store.Op{Verb: store.Delete, Key: key, Guard: store.Any})
	}
	_, err = s.Commit(c.Context, ops...)
	switch {
	case errors.Is(err, store.ErrNotFound) && len(keys) == 1:
		return notFound(keys[0])
	case errors.Is(err, store.ErrForbidden) && !c.Bool("force"):
		return try(err, "warrenctl node drain %s, then warrenctl node rm %s --force", keys[0].Name, keys[0].Name)
	case err != nil:
		return err
	}
	for _, key := range keys {
		p.printf("%s removed\n", lower(key.Kind, key.Name))
	}
	return nil
}

// spareLast refuses before anything is stopped what the managers themselves would refuse at last.
func spareLast(ctx context.Context, s *grpcstore.Store, keys []meta.Key) error {
	all, err := s.Managers(ctx, false)
	for _, key := range keys {
		if err == nil && len(all) == 1 && all[0].Name == key.Name {
			return fmt.Errorf("remove node %q: %w: it is the only manager", key.Name, store.ErrForbidden)
		}
	}
	return err
}
