package warrenctl

import (
	"context"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

func (p *program) eventsVerb() *cli.Command {
	return &cli.Command{
		Name: "events", Usage: "show what happened, oldest first",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "for", Usage: "only what happened to KIND/NAME"},
			&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "go on with what happens"},
		},
		Action: func(c *cli.Context) error {
			wants := func(meta.Object) bool { return true }
			if word := c.String("for"); word != "" {
				key, err := keyOf(word)
				if err != nil {
					return err
				}
				wants = func(o meta.Object) bool { return o.(*v1.Event).Spec.About == key }
			}
			if c.Args().Present() {
				return try(usagef("events takes no names"), "warrenctl events --for %s", c.Args().First())
			}
			s, err := p.server(c)
			if err != nil {
				return err
			}
			return p.events(c.Context, s.Only(v1.EventKind.Name), wants, c.Bool("watch"))
		},
	}
}

func (p *program) events(ctx context.Context, s store.Store, wants func(meta.Object) bool, goOn bool) error {
	var widths []int
	first := func(all []meta.Object) error {
		widths = p.eventTable(all, wants)
		return nil
	}
	if !goOn {
		all, _, err := s.List(ctx)
		if err == nil {
			err = first(all)
		}
		return err
	}
	return p.changes(ctx, s, first, func(c store.Change) error {
		if c.Object != nil && wants(c.Object) { // old ones that are dropped are no news
			table{p.eventRow(c.Object)}.printAligned(p.out, widths)
		}
		return nil
	})
}

// eventTable prints those that are wanted and returns the widths of the columns.
func (p *program) eventTable(all []meta.Object, wants func(meta.Object) bool) []int {
	t := table{head(v1.EventKind, false)[1:]}
	for _, o := range sorted(v1.EventKind, all) {
		if wants(o) {
			t = append(t, p.eventRow(o))
		}
	}
	t.print(p.out)
	return t.widths()
}

// eventRow leaves out the name, which says nothing to people.
func (p *program) eventRow(o meta.Object) []string {
	return row(v1.EventKind, o, "", false, p.now())[1:]
}
