package warrenctl

import (
	"errors"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store/grpcstore"
)

// lastEvents is how many describe shows.
const lastEvents = 10

func (p *program) describeVerb() *cli.Command {
	return &cli.Command{
		Name: "describe", Usage: "tell all about a resource and what belongs to it", ArgsUsage: "KIND/NAME... | KIND [NAME...] | KIND -l SELECTOR",
		Description: "Of a kind alone it tells about all there are.",
		Flags:       subjectFlags(),
		Action: func(c *cli.Context) error {
			words := c.Args().Slice()
			if kind, keys, err := keysOf(words); err == nil && kind != nil && len(keys) == 0 && !c.IsSet("selector") {
				_ = c.Set("all", "true")
			}
			x, err := subjectOf(c, words, "warrenctl describe service/NAME")
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
			return p.describeAll(c, s, keys)
		},
	}
}

func (p *program) describeAll(c *cli.Context, s *grpcstore.Store, keys []meta.Key) error {
	related, _, err := s.List(c.Context)
	if err != nil {
		return err
	}
	p.pulls = pullsOf(c.Context, s)
	var missing []error
	first := true
	for _, key := range keys {
		o, err := s.Get(c.Context, key)
		if err != nil {
			missing = append(missing, about(key, err))
			continue
		}
		if !first {
			p.printf("\n")
		}
		first = false
		p.describe(o, related)
	}
	return errors.Join(missing...)
}

// describe prints one object: what it shall be and is, then tables of what belongs to it.
func (p *program) describe(o meta.Object, related []meta.Object) {
	p.printf("%s %s\n", o.Key().Kind, o.Meta().Name)
	t := table{}
	own := append(p.highlights(o), [2]string{"pull", p.pulling(o)})
	first := min(1, len(own)) // how it is, then what it belongs to
	for _, f := range slices.Concat(p.common(o), own[:first], neighbours(o, related), own[first:]) {
		if f[1] != "" {
			t = append(t, []string{"  " + f[0], f[1]})
		}
	}
	t.printAligned(p.out, t.widths())
	p.conditions(conditionsOf(o))
	if n, ok := o.(*v1.Node); ok {
		p.shares(n, related)
	}
	p.tasksOf(o, related)
	p.eventsOf(o, related)
}

func (p *program) common(o meta.Object) [][2]string {
	m := o.Meta()
	out := [][2]string{{"labels", pairs(m.Labels)}, {"annotations", pairs(m.Annotations)}}
	if !m.Created.IsZero() {
		out = append(out, [2]string{"created", v1.Age(m.Created, p.now()) + " ago"})
	}
	if !m.Deleted.IsZero() {
		out = append(out, [2]string{"being deleted", "since " + v1.Age(m.Deleted, p.now()) + ", waiting for " + strings.Join(m.Finalizers, ", ")})
	}
	if _, task := o.(*v1.Task); m.Owner.Name != "" && !task { // whose service is named anyway
		out = append(out, [2]string{"owner", lower(m.Owner.Kind, m.Owner.Name)})
	}
	return out
}

func pairs(m map[string]string) string {
	var out []string
	for _, k := range meta.SortedKeys(m) {
		out = append(out, k+"="+m[k])
	}
	return strings.Join(out, ", ")
}

func conditionsOf(o meta.Object) meta.Conditions {
	switch x := o.(type) {
	case *v1.Service:
		return x.Status.Conditions
	case *v1.Node:
		return x.Status.Conditions
	}
	return nil
}

func (p *program) conditions(all meta.Conditions) {
	if len(all) == 0 {
		return
	}
	t := table{{"CONDITION", "STATUS", "SINCE", "REASON", "MESSAGE"}}
	for _, c := range all {
		t = append(t, []string{c.Type, string(c.Status), v1.Age(c.TransitionTime, p.now()), c.Reason, c.Message})
	}
	p.printf("\n")
	t.print(p.out)
}

// indexed returns the objects of a kind that its own index lists under an entry.
func indexed(k *meta.Kind, objects []meta.Object, want meta.IndexEntry) []meta.Object {
	var out []meta.Object
	for _, o := range ofKind(k, objects) {
		for _, e := range k.Index(o) {
			if e == want {
				out = append(out, o)
			}
		}
	}
	return out
}
