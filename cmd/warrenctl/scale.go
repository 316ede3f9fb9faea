package warrenctl

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
)

// scaling is what numbers of tasks are asked for: of each service by its name, or the same of all.
type scaling struct {
	*subject
	each map[meta.Key]int
	rest int // of those without a number of their own; -1 if there is none
}

func (p *program) scaleVerb() *cli.Command {
	return &cli.Command{
		Name: "scale", Usage: "set the number of tasks of services, all or none",
		ArgsUsage: "service/NAME=N... | service/NAME... --replicas N | services -l SELECTOR|--all --replicas N",
		Flags:     append(subjectFlags(), &cli.IntFlag{Name: "replicas", Value: -1, Usage: "number of tasks for each that is named without one"}),
		Action: func(c *cli.Context) error {
			x, err := scalingOf(c)
			if err != nil {
				return err
			}
			s, err := p.server(c)
			if err != nil {
				return err
			}
			keys, err := x.find(c.Context, p, s)
			if err != nil {
				return err
			}
			return p.modify(c.Context, s, keys, func(o meta.Object) (string, error) { return x.scale(o.(*v1.Service)) })
		},
	}
}

func scalingOf(c *cli.Context) (*scaling, error) {
	x := &scaling{each: map[meta.Key]int{}, rest: c.Int("replicas")}
	var names, numbers []string
	for _, word := range c.Args().Slice() {
		name, number, _ := strings.Cut(word, "=")
		names, numbers = append(names, name), append(numbers, number)
	}
	var err error
	if x.subject, err = subjectOf(c, names, "warrenctl scale service/NAME=3"); err != nil {
		return nil, err
	}
	for _, k := range x.kinds() {
		if k != v1.ServiceKind {
			return nil, try(usagef("a %s has no number of tasks; scale services", strings.ToLower(k.Name)), "warrenctl scale service/NAME=3")
		}
	}
	numbers = numbers[len(numbers)-len(x.keys):] // the first word may have been the kind
	for i, key := range x.keys {
		if numbers[i] == "" {
			continue
		}
		if x.each[key], err = strconv.Atoi(numbers[i]); err != nil || x.each[key] < 0 {
			return nil, usagef("%q is no number of tasks", numbers[i])
		}
	}
	return x, x.complete(names)
}

// complete tells whether there is a number for everything.
func (x *scaling) complete(names []string) error {
	if x.rest >= 0 {
		return nil
	}
	for _, key := range x.keys {
		if _, ok := x.each[key]; !ok {
			name := lower(key.Kind, key.Name)
			return try(usagef("to how many tasks shall %s scale?", name), "warrenctl scale %s=3", name)
		}
	}
	if len(x.keys) == 0 {
		return try(usagef("to how many tasks shall %s scale?", names[0]), "--replicas 3")
	}
	return nil
}

// scale sets the number of a service; of several for the same, the last one holds.
func (x *scaling) scale(s *v1.Service) (string, error) {
	if s.Spec.Mode == v1.Global {
		return "", fmt.Errorf("%s runs one task on every node; it has no number of its own", lower(s.Kind, s.Metadata.Name))
	}
	n, ok := x.each[s.Key()]
	if !ok {
		n = x.rest
	}
	s.Spec.Replicas = &n
	return fmt.Sprintf("scaled to %d", n), nil
}
