package warrenctl

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
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
			return p.modify(c.Context, s, keysOfScalings(wanted), func(o meta.Object) (string, error) {
				return scale(o.(*v1.Service), wanted)
			})
		},
	}
}

func keysOfScalings(wanted []scaling) []meta.Key {
	var out []meta.Key
	for _, w := range wanted {
		out = append(out, w.key)
	}
	return out
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

// scale sets the number of a service; of several for the same, the last one holds.
func scale(s *v1.Service, wanted []scaling) (string, error) {
	if s.Spec.Mode == v1.Global {
		return "", fmt.Errorf("%s runs one task on every node; it has no number of its own", lower(s.Kind, s.Metadata.Name))
	}
	for _, w := range wanted {
		if w.key == s.Key() {
			s.Spec.Replicas = &w.replicas
		}
	}
	return fmt.Sprintf("scaled to %d", *s.Spec.Replicas), nil
}
