package warrenctl

import (
	"bytes"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/cmd/warrenctl/jsonpath"
)

// outputs are the forms in which get prints.
const outputs = "wide, json, yaml, name, jsonpath=TEMPLATE or custom-columns=NAME:PATH,..."

// cell is a column that a person made.
type cell struct {
	name string
	path *jsonpath.Path
}

// demand is one part of a field selector.
type demand struct {
	path  *jsonpath.Path
	value string
	not   bool
}

func (d demand) String() string {
	sign := "="
	if d.not {
		sign = "!="
	}
	return strings.TrimPrefix(d.path.String(), ".") + sign + d.value
}

// shape reads the flags that say what get shows of its objects. Paths are held against the kinds, so that a typing error
// does not look like an empty answer.
func (q *query) shape(c *cli.Context) (err error) {
	form, text, given := strings.Cut(c.String("output"), "=")
	q.output = form
	switch {
	case form == "jsonpath" && text != "":
		if q.template, err = jsonpath.Parse(text); err == nil {
			err = q.template.Check(q.roots(len(q.keys) == 1 || c.Bool("watch"))...)
		}
	case form == "custom-columns" && text != "":
		q.columns, err = columnsOf(text, q.roots(true))
	case form == "jsonpath", form == "custom-columns":
		example := map[string]string{"jsonpath": "{.metadata.name}", "custom-columns": "NAME:.metadata.name"}[form]
		return try(usagef("output %s needs a value", form), "-o '%s=%s'", form, example)
	case given || !slices.Contains([]string{"", "wide", "json", "yaml", "name"}, form):
		return usagef("output %q is not known; use %s", c.String("output"), outputs)
	}
	if text := c.String("sort-by"); err == nil && text != "" {
		q.order, err = pathOf(text, q.roots(true))
		if c.Bool("watch") {
			return usagef("what is watched comes in the order of time; leave out --sort-by")
		}
	}
	if err == nil {
		q.demands, err = demandsOf(c.String("field-selector"), q.roots(true))
	}
	if err != nil {
		return usagef("%v", err)
	}
	return nil
}

// roots describe the documents that are printed: one object, or a List.
func (q *query) roots(single bool) []*meta.Field {
	var out []*meta.Field
	for _, k := range q.kinds {
		f := v1.Outline(k)
		if !single {
			list := &meta.Field{Name: meta.ListKind, Fields: []*meta.Field{{Name: "apiVersion", Type: "text"}, {Name: "kind", Type: "text"},
				{Name: "items", Path: "items", Type: "list", Item: f}}}
			f = list
		}
		out = append(out, f)
	}
	return out
}

func pathOf(text string, roots []*meta.Field) (*jsonpath.Path, error) {
	p, err := jsonpath.ParsePath(text)
	if err == nil {
		err = p.Check(roots...)
	}
	return p, err
}

// columnsOf reads NAME:PATH,...
func columnsOf(text string, roots []*meta.Field) ([]cell, error) {
	var out []cell
	for part := range strings.SplitSeq(text, ",") {
		name, path, ok := strings.Cut(part, ":")
		if !ok || name == "" {
			return nil, usagef("custom-columns: %q is not understood; write NAME:PATH like NODE:.spec.node", part)
		}
		p, err := pathOf(path, roots)
		if err != nil {
			return nil, err
		}
		out = append(out, cell{name, p})
	}
	return out, nil
}

// demandsOf reads PATH=VALUE,PATH!=VALUE,...
func demandsOf(text string, roots []*meta.Field) ([]demand, error) {
	if text == "" {
		return nil, nil
	}
	var out []demand
	for part := range strings.SplitSeq(text, ",") {
		path, value, ok := strings.Cut(part, "=")
		d := demand{value: strings.TrimPrefix(value, "=")}
		path, d.not = strings.CutSuffix(path, "!")
		if !ok || path == "" {
			return nil, usagef("field selector: %q is not understood; write PATH=VALUE or PATH!=VALUE like spec.node=n1", part)
		}
		var err error
		if d.path, err = pathOf(path, roots); err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// matches tells whether an object has all the fields that are demanded.
func (q *query) matches(o meta.Object) bool {
	if len(q.demands) == 0 {
		return true
	}
	doc := jsonpath.Of(o)
	for _, d := range q.demands {
		value := jsonpath.Join(d.path.Find(doc), ",")
		if t, ok := o.(*v1.Task); ok && t.Status.Phase == "" && strings.TrimPrefix(d.path.String(), ".") == "status.phase" {
			value = string(v1.TaskPending) // nobody wrote it yet
		}
		if (value == d.value) == d.not {
			return false
		}
	}
	return true
}

// ordered sorts by --sort-by; what does not have the field comes first.
func (q *query) ordered(objects []meta.Object) []meta.Object {
	if q.order == nil {
		return objects
	}
	values := map[meta.Key]any{}
	for _, o := range objects {
		if found := q.order.Find(jsonpath.Of(o)); len(found) > 0 {
			values[o.Key()] = found[0]
		}
	}
	slices.SortStableFunc(objects, func(a, b meta.Object) int {
		x, okX := values[a.Key()]
		y, okY := values[b.Key()]
		switch {
		case !okX && !okY:
			return 0
		case !okX:
			return -1
		case !okY:
			return 1
		}
		return jsonpath.Compare(x, y)
	})
	return objects
}

// filled prints a document through the template, in whole lines.
func (p *program) filled(q *query, doc any) error {
	var b bytes.Buffer
	if err := q.template.Write(&b, doc); err != nil {
		return err
	}
	if b.Len() > 0 && !bytes.HasSuffix(b.Bytes(), []byte("\n")) {
		b.WriteByte('\n')
	}
	p.printf("%s", b.Bytes())
	return nil
}

// custom is the head of the table with the columns that were asked for, and a row for each object.
func (q *query) custom(objects ...meta.Object) table {
	var head []string
	for _, c := range q.columns {
		head = append(head, c.name)
	}
	t := table{head}
	for _, o := range objects {
		var row []string
		doc := jsonpath.Of(o)
		for _, c := range q.columns {
			row = append(row, jsonpath.Join(c.path.Find(doc), ","))
		}
		t = append(t, row)
	}
	return t
}
