package warrenctl

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
)

func (p *program) explainVerb() *cli.Command {
	return &cli.Command{
		Name: "explain", Usage: "say what a kind or a field of it is", ArgsUsage: "KIND[.FIELD...]",
		Description: "It needs no node: what it says is that of this warrenctl. For programs there is warrenctl schema.\n" +
			"Fields with a star have to be written.",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "recursive", Aliases: []string{"r"}, Usage: "all fields below, too"}},
		Action: func(c *cli.Context) error {
			if c.Args().Len() != 1 {
				return try(usagef("explain what?"), "warrenctl explain service.spec")
			}
			f, name, err := fieldOf(c.Args().First())
			if err != nil {
				return err
			}
			p.explainField(name, f, c.Bool("recursive"))
			return nil
		},
	}
}

// fieldOf finds KIND.FIELD.FIELD; what marks items ([], [0], [*]) may be written or left out.
func fieldOf(text string) (f *meta.Field, name string, err error) {
	parts := strings.Split(text, ".")
	k, err := kindOf(parts[0])
	if err != nil {
		return nil, "", err
	}
	f, name = v1.Outline(k), k.Name
	for _, part := range parts[1:] {
		part, _, _ = strings.Cut(part, "[")
		for f.List() {
			f = f.Item
		}
		next := f.Field(part)
		if f.Map {
			next = f.Item
		}
		if next == nil {
			return nil, "", noField(name, f, part)
		}
		f, name = next, name+"."+part
	}
	return f, name, nil
}

func noField(name string, f *meta.Field, part string) error {
	var known []string
	for _, x := range f.Fields {
		known = append(known, x.Name)
	}
	if near := meta.Suggest(part, known); near != "" {
		return usagef("%s has no field %q; did you mean %q?", name, part, near)
	}
	if len(known) == 0 {
		return usagef("%s is %s and has no fields", name, f.Type)
	}
	return usagef("%s has no field %q; there are %s", name, part, strings.Join(known, ", "))
}

func (p *program) explainField(name string, f *meta.Field, recursive bool) {
	p.printf("%s\n", name)
	t := table{}
	for _, x := range [][2]string{{"type", f.Type}, {"default", f.Default}, {"needed", need(f)}, {"since", f.Since}} {
		if x[1] != "" {
			t = append(t, []string{"  " + x[0], x[1]})
		}
	}
	t.printAligned(p.out, t.widths())
	if f.Doc != "" {
		p.printf("\n%s", wrapped(f.Doc, "  "))
	}
	p.allowed(f)
	for f.List() {
		f = f.Item
	}
	if len(f.Fields) == 0 {
		return
	}
	t = table{{"FIELD", "TYPE", "DEFAULT", "ABOUT"}}
	t = fieldRows(t, f, "", recursive)
	p.printf("\n")
	t.print(p.out)
}

func need(f *meta.Field) string {
	switch {
	case f.System:
		return "no: the system writes it"
	case f.Required:
		return "yes"
	}
	return ""
}

func (p *program) allowed(f *meta.Field) {
	if len(f.Enum) == 0 {
		return
	}
	t := table{{"VALUE", "MEANING"}}
	for _, c := range f.Enum {
		t = append(t, []string{c.Value, c.Doc})
	}
	p.printf("\n")
	t.print(p.out)
}

// fieldRows adds a row for each field below f, in the order of the API.
func fieldRows(t table, f *meta.Field, indent string, recursive bool) table {
	for _, x := range f.Fields {
		name := x.Name
		if x.Required && !x.System {
			name += "*"
		}
		t = append(t, []string{indent + name, x.Type, x.Default, firstSentence(x.Doc)})
		inner := x
		for inner.Item != nil {
			inner = inner.Item
		}
		if recursive {
			t = fieldRows(t, inner, indent+"  ", true)
		}
	}
	return t
}

func firstSentence(doc string) string {
	for i := range doc {
		if strings.HasPrefix(doc[i:], ". ") && !strings.HasSuffix(doc[:i], "e.g") {
			return doc[:i+1]
		}
	}
	return doc
}

// textWidth is how wide running text is printed.
const textWidth = 100

// wrapped breaks running text into lines.
func wrapped(text, indent string) string {
	var b strings.Builder
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > textWidth {
			fmt.Fprintf(&b, "%s%s\n", indent, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	fmt.Fprintf(&b, "%s%s\n", indent, line)
	return b.String()
}
