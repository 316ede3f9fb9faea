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
		Name: verb, Usage: usage, ArgsUsage: "KIND/NAME... KEY=VALUE... KEY-...",
		Description: about + "\nKEY- removes one.",
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "overwrite", Usage: "also where another value is set"}},
		Action: func(c *cli.Context) error {
			keys, marks, err := marksOf(verb, c.Args().Slice())
			if err != nil {
				return err
			}
			s, err := p.server(c)
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
func marksOf(verb string, words []string) ([]meta.Key, []mark, error) {
	var names []string
	var marks []mark
	for _, w := range words {
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
	kind, keys, err := keysOf(names)
	switch {
	case err != nil:
		return nil, nil, err
	case len(keys) == 0 && kind != nil:
		return nil, nil, try(usagef("%s which of the %s? name them", verb, kind.Plural), "%s", example)
	case len(keys) == 0:
		return nil, nil, try(usagef("%s what?", verb), "%s", example)
	case len(marks) == 0:
		return nil, nil, try(usagef("%s with what? write KEY=VALUE, or KEY- to remove one", verb), "%s", example)
	}
	return keys, marks, nil
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
