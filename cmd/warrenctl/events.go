package warrenctl

import (
	"context"
	"strings"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

func (p *program) eventsVerb() *cli.Command {
	return &cli.Command{
		Name: "events", Usage: "show what happened, oldest first",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "for", Usage: "only what happened to KIND/NAME; for a service also to its tasks"},
			&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "go on with what happens"},
		},
		Action: func(c *cli.Context) error {
			var about meta.Key
			if word := c.String("for"); word != "" {
				var err error
				if about, err = keyOf(word); err != nil {
					return err
				}
			}
			s, err := p.server(c)
			if err != nil {
				return err
			}
			wants, err := concerning(c.Context, s, about)
			if err != nil {
				return err
			}
			return p.events(c.Context, s.Only(v1.EventKind.Name), wants, c.Bool("watch"))
		},
	}
}

// concerning returns what tells the events about an object from others; all of them concern the zero key. Events about the
// tasks of a service concern it, too, also when the tasks are gone.
func concerning(ctx context.Context, s *grpcstore.Store, about meta.Key) (func(meta.Object) bool, error) {
	if about.Name == "" {
		return func(meta.Object) bool { return true }, nil
	}
	if about.Kind != v1.ServiceKind.Name {
		return concerned(about, nil), nil
	}
	services, _, err := s.Only(v1.ServiceKind.Name).List(ctx)
	return concerned(about, services), err
}

// concerned is that, when the services that there are have been read.
func concerned(about meta.Key, services []meta.Object) func(meta.Object) bool {
	names := []string{about.Name}
	for _, s := range services {
		names = append(names, s.Meta().Name)
	}
	return func(o meta.Object) bool {
		key := o.(*v1.Event).Spec.About
		ofTask := about.Kind == v1.ServiceKind.Name && key.Kind == v1.TaskKind.Name
		return key == about || ofTask && serviceOf(key.Name, names) == about.Name
	}
}

// serviceOf returns the service to which a task belongs by its name: SERVICE-SLOT-COUNT or SERVICE-NODE-COUNT. The longest
// name fits, since a service may be called like another one and something after it.
func serviceOf(task string, services []string) string {
	best := ""
	for _, s := range services {
		rest, ok := strings.CutPrefix(task, s+"-")
		place, count, two := cutLast(rest)
		if ok && two && place != "" && len(s) > len(best) && strings.Trim(count, "0123456789") == "" {
			best = s
		}
	}
	return best
}

// cutLast cuts at the last dash.
func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '-')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
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
