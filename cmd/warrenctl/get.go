package warrenctl

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/cmd/warrenctl/jsonpath"
	"warren.io/warren/runtime/manifest"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

// query is what get shows.
type query struct {
	kinds    []*meta.Kind
	keys     []meta.Key // all of the kinds when there are none
	selector string
	output   string
	// prefixed: names stand with their kind, since there are several kinds.
	prefixed bool

	template *jsonpath.Template
	columns  []cell
	order    *jsonpath.Path
	demands  []demand
}

func (p *program) getVerb() *cli.Command {
	return &cli.Command{
		Name: "get", Usage: "list resources, or show some", ArgsUsage: "KIND [NAME...] | KIND,KIND... | KIND/NAME... | all",
		Description: "KIND is one of " + kindNames() + ", or images: what the node has and fetches.\n" +
			"A selector is a list like app=web,tier!=db,env in (a,b),present,!absent; a field selector one like\n" +
			"status.phase=Running,spec.node!=n1. A path is one like .spec.node, .status.conditions[0].reason, .spec.env[*].name\n" +
			"or .status.conditions[?(@.status==\"False\")].type; a template is text with paths in braces, over a List where there\n" +
			"are several: {range .items[*]}{.metadata.name}{\"\\n\"}{end}.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: outputs},
			&cli.StringFlag{Name: "selector", Aliases: []string{"l"}, Usage: "only those with these labels"},
			&cli.StringFlag{Name: "field-selector", Usage: "only those with these values of fields"},
			&cli.StringFlag{Name: "sort-by", Usage: "in the order of what is at this path"},
			&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "go on with what changes"},
		},
		Action: func(c *cli.Context) error {
			if areImages(c.Args().Slice()) {
				return p.getImages(c)
			}
			q, err := queryOf(c)
			if err != nil {
				return err
			}
			s, err := p.server(c)
			if err != nil {
				return err
			}
			if c.Bool("watch") {
				return p.watch(c.Context, s, q)
			}
			return p.get(c, s, q)
		},
	}
}

func kindNames() string {
	text := ""
	for _, k := range v1.Kinds {
		text += k.Plural
		if len(k.Short) > 0 {
			text += " (" + k.Short[0] + ")"
		}
		text += ", "
	}
	return text + all
}

func queryOf(c *cli.Context) (*query, error) {
	q := &query{selector: c.String("selector")}
	if _, err := meta.ParseSelector(q.selector); err != nil {
		return nil, usagef("%v", err)
	}
	words := c.Args().Slice()
	if len(words) == 0 {
		return nil, try(usagef("get what?"), "warrenctl get all")
	}
	if words[0] == all {
		if len(words) > 1 {
			return nil, usagef("%q after all", words[1])
		}
		q.kinds, q.prefixed = everything(), true
		return q, q.shape(c)
	}
	if q.prefixed = strings.Contains(words[0], ","); q.prefixed {
		if err := q.several(words); err != nil {
			return nil, err
		}
		return q, q.shape(c)
	}
	kind, keys, err := keysOf(words)
	if err != nil {
		return nil, err
	}
	if q.keys = keys; kind != nil {
		q.kinds = []*meta.Kind{kind}
	} else {
		q.kinds = kindsOf(keys)
		q.prefixed = len(q.kinds) > 1
	}
	if len(keys) > 0 && (q.selector != "" || c.String("field-selector") != "") {
		return nil, usagef("names and a selector cannot be used together")
	}
	return q, q.shape(c)
}

// several reads KIND,KIND,...
func (q *query) several(words []string) error {
	if len(words) > 1 {
		return usagef("%q after several kinds; write KIND/NAME...", words[1])
	}
	for word := range strings.SplitSeq(words[0], ",") {
		k, err := kindOf(word)
		if err != nil {
			return err
		}
		if !slices.Contains(q.kinds, k) {
			q.kinds = append(q.kinds, k)
		}
	}
	return nil
}

// everything is all but events, which are many and have a verb of their own.
func everything() []*meta.Kind {
	var out []*meta.Kind
	for _, k := range v1.Kinds {
		if k != v1.EventKind {
			out = append(out, k)
		}
	}
	return out
}

// kindsOf returns the kinds of keys, each once, in the order of the keys.
func kindsOf(keys []meta.Key) []*meta.Kind {
	var out []*meta.Kind
	seen := map[string]bool{}
	for _, key := range keys {
		if k, ok := v1.Kinds.ByName(key.Kind); ok && !seen[key.Kind] {
			seen[key.Kind] = true
			out = append(out, k)
		}
	}
	return out
}

// filter lets the server send only what is asked for.
func (q *query) filter() grpcstore.Filter {
	f := grpcstore.Filter{Labels: q.selector}
	for _, k := range q.kinds {
		f.Kinds = append(f.Kinds, k.Name)
	}
	if len(q.keys) == 1 {
		f.Name = q.keys[0].Name
	}
	return f
}

// view is what the query can see of a store; what leaves it looks deleted.
func (q *query) view(s *grpcstore.Store) store.Store {
	narrow := s.Filter(q.filter())
	if len(q.demands) == 0 {
		return narrow
	}
	return store.View(narrow, q.matches)
}

func (q *query) wants(key meta.Key) bool {
	if len(q.keys) == 0 {
		return true
	}
	for _, k := range q.keys {
		if k == key {
			return true
		}
	}
	return false
}

// get prints what there is now; what is missing is an error after it.
func (p *program) get(c *cli.Context, s *grpcstore.Store, q *query) error {
	var objects []meta.Object
	var missing []error
	if len(q.keys) == 0 {
		all, _, err := q.view(s).List(c.Context)
		if err != nil {
			return err
		}
		objects = all
	}
	for _, key := range q.keys {
		o, err := s.Get(c.Context, key)
		if err != nil {
			missing = append(missing, about(key, err))
			continue
		}
		objects = append(objects, o)
	}
	if len(objects) > 0 || len(missing) == 0 {
		if err := p.objects(q, objects); err != nil {
			return err
		}
	}
	return errors.Join(missing...)
}

// objects prints them in the form that was asked for.
func (p *program) objects(q *query, objects []meta.Object) error {
	var ordered []meta.Object
	for _, k := range q.kinds {
		ordered = append(ordered, sorted(k, ofKind(k, objects))...)
	}
	ordered = q.ordered(ordered)
	switch q.output {
	case "jsonpath":
		if len(q.keys) == 1 {
			return p.filled(q, jsonpath.Of(ordered[0]))
		}
		return p.filled(q, jsonpath.Of(listOf(ordered)))
	case "custom-columns":
		q.custom(ordered...).print(p.out)
		return nil
	case "json":
		return writeJSON(p.out, ordered, len(q.keys) == 1)
	case "yaml":
		text, err := manifest.YAML(ordered...)
		p.printf("%s", text)
		return err
	case "name":
		for _, o := range ordered {
			p.printf("%s\n", lower(o.Key().Kind, o.Meta().Name))
		}
		return nil
	}
	if len(ordered) == 0 {
		p.note("%s", q.nothing())
	}
	p.tables(q, ordered)
	return nil
}

func (q *query) nothing() string {
	what := "resources"
	if !q.prefixed {
		what = q.kinds[0].Plural
	}
	var with []string
	if q.selector != "" {
		with = append(with, q.selector)
	}
	for _, d := range q.demands {
		with = append(with, d.String())
	}
	if len(with) > 0 {
		return fmt.Sprintf("no %s with %s", what, strings.Join(with, ","))
	}
	return "no " + what
}

// tables prints one table for each kind.
func (p *program) tables(q *query, objects []meta.Object) {
	first := true
	for _, k := range q.kinds {
		own := ofKind(k, objects)
		if len(own) == 0 {
			continue
		}
		if !first {
			p.printf("\n")
		}
		first = false
		t := table{head(k, q.output == "wide")}
		for _, o := range own {
			t = append(t, row(k, o, q.prefix(k), q.output == "wide", p.now()))
		}
		t.print(p.out)
	}
}

func (q *query) prefix(k *meta.Kind) string {
	if q.prefixed {
		return lower(k.Name, "")
	}
	return ""
}

func ofKind(k *meta.Kind, objects []meta.Object) []meta.Object {
	var out []meta.Object
	for _, o := range objects {
		if o.Key().Kind == k.Name {
			out = append(out, o)
		}
	}
	return out
}
