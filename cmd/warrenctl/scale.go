package warrenctl

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// scaling is one service and the number of its tasks.
type scaling struct {
	key      meta.Key
	replicas int
}

func (p *program) scaleVerb() *cli.Command {
	return &cli.Command{
		Name: "scale", Usage: "set the number of tasks of services, all or none", ArgsUsage: "service/NAME=N... | service/NAME... --replicas N",
		Flags: []cli.Flag{&cli.IntFlag{Name: "replicas", Value: -1, Usage: "number of tasks for each that is named without one"}},
		Action: func(c *cli.Context) error {
			wanted, err := scalings(c)
			if err != nil {
				return err
			}
			s, err := p.server(c)
			if err != nil {
				return err
			}
			for try := 1; ; try++ {
				lines, err := scale(c, s, wanted)
				if err == nil {
					p.printf("%s", lines)
					return nil
				}
				if try == 8 || !errors.Is(err, store.ErrConflict) {
					return err
				}
			}
		},
	}
}

func scalings(c *cli.Context) ([]scaling, error) {
	var out []scaling
	for _, word := range c.Args().Slice() {
		name, number, given := strings.Cut(word, "=")
		key, err := keyOf(name)
		if err != nil {
			return nil, err
		}
		if key.Kind != v1.ServiceKind.Name {
			return nil, usagef("a %s has no number of tasks; scale services", strings.ToLower(key.Kind))
		}
		n := c.Int("replicas")
		if given {
			if n, err = strconv.Atoi(number); err != nil {
				return nil, usagef("%q is no number of tasks", number)
			}
		}
		if n < 0 {
			return nil, try(usagef("to how many tasks shall %s scale?", name), "warrenctl scale %s=3", name)
		}
		out = append(out, scaling{key, n})
	}
	if len(out) == 0 {
		return nil, try(usagef("scale what?"), "warrenctl scale service/NAME=3")
	}
	return out, nil
}

// scale writes the numbers in one commit and returns what there is to say about it.
func scale(c *cli.Context, s store.Store, wanted []scaling) (string, error) {
	var ops []store.Op
	text := ""
	for _, w := range wanted {
		o, err := s.Get(c.Context, w.key)
		if err != nil {
			return "", about(w.key, err)
		}
		svc := o.Clone().(*v1.Service)
		name := lower(w.key.Kind, w.key.Name)
		if svc.Spec.Mode == v1.Global {
			return "", fmt.Errorf("%s runs one task on every node; it has no number of its own", name)
		}
		if svc.Spec.Replicas != nil && *svc.Spec.Replicas == w.replicas {
			text += name + " unchanged\n"
			continue
		}
		svc.Spec.Replicas = &w.replicas
		ops = append(ops, store.UpdateOp(svc))
		text += fmt.Sprintf("%s scaled to %d\n", name, w.replicas)
	}
	if len(ops) == 0 {
		return text, nil
	}
	_, err := s.Commit(c.Context, ops...)
	return text, err
}
