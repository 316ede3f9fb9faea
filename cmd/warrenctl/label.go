package warrenctl

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
)

func (p *program) labelVerb() *cli.Command {
	return p.marking("label", "set or remove labels, on all that are named or on none", "labelled",
		"Labels of a service are its own; those of its tasks stand in spec.labels. Applying a file sets what the file says.",
		func(m *meta.Metadata) *map[string]string { return &m.Labels })
}

func (p *program) annotateVerb() *cli.Command {
	return p.marking("annotate", "set or remove annotations, on all that are named or on none", "annotated",
		"Annotations are notes of any text, which nothing selects by. Applying a file sets what the file says.",
		func(m *meta.Metadata) *map[string]string { return &m.Annotations })
}

// marking is the verb that writes the labels or the annotations.
func (p *program) marking(verb, usage, done, about string, of func(*meta.Metadata) *map[string]string) *cli.Command {
	return &cli.Command{
		Name: verb, Usage: usage, ArgsUsage: "KIND/NAME... | KIND NAME... | KIND -l SELECTOR|--all KEY=VALUE... KEY-...",
		Description: about + "\nKEY- removes one.",
		Flags:       append(subjectFlags(), &cli.BoolFlag{Name: "overwrite", Usage: "also where another value is set"}),
		Action: func(c *cli.Context) error {
			x, marks, err := marksOf(c, verb)
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
			return p.modify(c.Context, s, keys, func(o meta.Object) (string, error) {
				return done, putMarks(of(o.Meta()), marks, lower(o.Key().Kind, o.Key().Name), c.Bool("overwrite"))
			})
		},
	}
}

// mark is one KEY=VALUE, or KEY-, which removes it.
type mark struct {
	key, value string
	remove     bool
}

// marksOf sorts words into names of objects and marks: names have no '=' and do not end with '-'.
func marksOf(c *cli.Context, verb string) (*subject, []mark, error) {
	var names []string
	var marks []mark
	for _, w := range c.Args().Slice() {
		key, value, set := strings.Cut(w, "=")
		key, remove := strings.CutSuffix(key, "-")
		switch {
		case set && remove:
			return nil, nil, usagef("%q is both set and removed", w)
		case !set && !remove:
			names = append(names, w)
			continue
		case key == "":
			return nil, nil, usagef("%q has no key", w)
		case strings.HasPrefix(key, "warren.io/"):
			return nil, nil, usagef("%s is written by warren itself; choose another key", key)
		}
		marks = append(marks, mark{key, value, remove})
	}
	example := "warrenctl " + verb + " service/NAME KEY=VALUE"
	x, err := subjectOf(c, names, example)
	if err == nil {
		err = x.writable()
	}
	if err == nil && len(marks) == 0 {
		err = try(usagef("%s with what? write KEY=VALUE, or KEY- to remove one", verb), "%s", example)
	}
	return x, marks, err
}

// putMarks writes marks into a map; values that are set are kept unless they may be overwritten.
func putMarks(to *map[string]string, marks []mark, name string, overwrite bool) error {
	for _, m := range marks {
		was, there := (*to)[m.key]
		switch {
		case m.remove:
			delete(*to, m.key)
			continue
		case there && was != m.value && !overwrite:
			return try(fmt.Errorf("%s has %s=%s already", name, m.key, was), "the same with --overwrite")
		case *to == nil:
			*to = map[string]string{}
		}
		(*to)[m.key] = m.value
	}
	return nil
}
