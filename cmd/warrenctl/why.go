package warrenctl

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

func (p *program) whyVerb() *cli.Command {
	return &cli.Command{
		Name: "why", Usage: "tell why a task, a service or a node is as it is", ArgsUsage: "task/NAME | service/NAME | node/NAME",
		Description: "The first line names the cause. It is also told of tasks and services that are gone, as far as it is remembered:\n" +
			"in full since warren was started, in short as long as there are events.",
		Action: func(c *cli.Context) error {
			kind, keys, err := keysOf(c.Args().Slice())
			switch {
			case err != nil:
				return err
			case len(keys) == 0 && kind != nil:
				return usagef("why which of the %s? name one", kind.Plural)
			case len(keys) == 0:
				return try(usagef("why what?"), "warrenctl why service/NAME")
			}
			for _, key := range keys {
				switch key.Kind {
				case v1.TaskKind.Name, v1.ServiceKind.Name, v1.NodeKind.Name:
				default:
					return try(usagef("why answers for tasks, services and nodes, not for a %s", strings.ToLower(key.Kind)), "warrenctl describe %s", lower(key.Kind, key.Name))
				}
			}
			return p.why(c, keys)
		},
	}
}

func (p *program) why(c *cli.Context, keys []meta.Key) error {
	s, err := p.server(c)
	if err != nil {
		return err
	}
	var missing []error
	for i, key := range keys {
		lines, err := s.Why(c.Context, key)
		switch {
		case errors.Is(err, store.ErrNotFound):
			missing = append(missing, about(key, err))
			continue
		case err != nil:
			return fmt.Errorf("why %s: %w", lower(key.Kind, key.Name), err)
		case i > 0:
			p.printf("\n")
		}
		for _, l := range lines {
			p.printf("%s\n", l)
		}
	}
	return errors.Join(missing...)
}
