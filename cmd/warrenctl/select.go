package warrenctl

import (
	"context"
	"strings"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store/grpcstore"
)

// subject is what a verb works on: what is named, what has some labels, or all of a kind.
type subject struct {
	verb   string
	kind   *meta.Kind // nil when all are named with their kinds
	keys   []meta.Key // nil when they are still to be found
	labels string
	// staying leaves out what is on its way out, unless it is named.
	staying bool
}

// subjectFlags are those of verbs that need not be told names.
func subjectFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "selector", Aliases: []string{"l"}, Usage: "those of the kind with these labels"},
		&cli.BoolFlag{Name: "all", Usage: "all of the kind"},
	}
}

// subjectOf reads the command line; words are those of it that name something.
func subjectOf(c *cli.Context, words []string, example string) (*subject, error) {
	kind, keys, err := keysOf(words)
	x := &subject{verb: asked(c.Command.Name), kind: kind, keys: keys, labels: c.String("selector")}
	labels, every := c.IsSet("selector"), c.Bool("all")
	switch {
	case err != nil:
		return nil, err
	case labels && every:
		return nil, usagef("--selector and --all exclude each other")
	case (labels || every) && len(keys) > 0:
		return nil, usagef("names exclude --selector and --all")
	case (labels || every) && kind == nil:
		return nil, try(usagef("%s all of which kind?", x.verb), "warrenctl %s services and the same flags", c.Command.Name)
	case labels && strings.TrimSpace(x.labels) == "":
		return nil, try(usagef("the selector is empty"), "--all, if all are meant")
	case labels:
		if _, err := meta.ParseSelector(x.labels); err != nil {
			return nil, usagef("%v", err)
		}
	case every:
	case len(keys) == 0 && kind != nil:
		return nil, try(usagef("%s which of the %s? name them", x.verb, kind.Plural), "names, --selector app=web or --all")
	case len(keys) == 0:
		return nil, try(usagef("%s what?", x.verb), "%s", example)
	}
	return x, nil
}

// kinds are those of everything that it may be about.
func (x *subject) kinds() []*meta.Kind {
	if x.kind != nil {
		return []*meta.Kind{x.kind}
	}
	return kindsOf(x.keys)
}

// writable tells whether people write the kinds that it is about.
func (x *subject) writable() error {
	for _, k := range x.kinds() {
		switch {
		case k == v1.TaskKind:
			return try(usagef("%s are made by the cluster itself, as the service says", k.Plural), "warrenctl edit service/NAME: spec.labels are those of its tasks")
		case !k.Written():
			return usagef("%s are made by the cluster itself; nobody else writes them", k.Plural)
		}
	}
	return nil
}

// removable tells whether people remove the kinds that it is about.
func (x *subject) removable() error {
	for _, k := range x.kinds() {
		if !k.UserWrites && !k.UserDeletes {
			return usagef("%s are made by the cluster itself; nobody else removes them", k.Plural)
		}
	}
	return nil
}

// find returns the keys of all of it. When there is nothing of that kind it says so; that is no mistake.
func (x *subject) find(ctx context.Context, p *program, s *grpcstore.Store) ([]meta.Key, error) {
	if len(x.keys) > 0 {
		return x.keys, nil
	}
	all, _, err := s.Filter(grpcstore.Filter{Kinds: []string{x.kind.Name}, Labels: x.labels}).List(ctx)
	if err != nil {
		return nil, err
	}
	var keys []meta.Key
	for _, o := range sorted(x.kind, all) {
		if !x.staying || o.Meta().Deleted.IsZero() {
			keys = append(keys, o.Key())
		}
	}
	if len(keys) == 0 {
		p.note("%s", x.nothing())
	}
	return keys, nil
}

func (x *subject) nothing() string {
	if x.labels != "" {
		return "no " + x.kind.Plural + " with " + x.labels
	}
	return "no " + x.kind.Plural
}

// asked is a verb as it stands in a question.
func asked(verb string) string {
	if verb == "wait" {
		return "wait for"
	}
	return verb
}
