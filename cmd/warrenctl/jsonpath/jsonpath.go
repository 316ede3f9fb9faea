// Package jsonpath reads values out of JSON documents by the paths that people know from kubectl: the useful part of its
// templates, with fields checked against the kinds that they are read from, so that a typing error is not an empty answer.
//
//	{.spec.node}   {.items[0].metadata.name}   {.items[*].status.address}   {.a[-1]}   {.a[1:3]}   {.labels['a.b/c']}
//	{.items[?(@.status.phase=="Running")].metadata.name}   {range .items[*]}{.metadata.name}{"\n"}{end}
package jsonpath

import (
	"fmt"
	"io"
	"strings"
)

// Template is text with paths in braces.
type Template struct{ parts []part }

// part is text, a path, or a range with a body.
type part struct {
	text string
	path *Path
	body []part // of a range over path; nil without
	loop bool
}

// Path leads from a document to any number of values.
type Path struct {
	text  string
	root  bool // begins with $: at the document, wherever it stands
	steps []step
}

// step goes from each value to some of those below. One of its fields is set.
type step struct {
	names  []string // fields
	all    bool     // [*] or .*
	deep   string   // ..name: at any depth
	slice  *slice
	filter *filter
}

// slice is [from:to] or one index; negative numbers count from the end.
type slice struct {
	from, to *int
	single   bool
}

// filter holds for the values for which left op right does; without op for those that have left.
type filter struct {
	left, right operand
	op          string
}

// operand is a path from the value that is looked at, or a plain value.
type operand struct {
	path  *Path
	value any
}

// Parse reads a template.
func Parse(text string) (*Template, error) {
	r := &reader{text: text}
	parts, ended, err := r.parts()
	if err == nil && ended {
		err = r.fail("{end} without {range}")
	}
	if err != nil {
		return nil, err
	}
	return &Template{parts}, nil
}

// ParsePath reads one path; braces and the dot in front may be left out.
func ParsePath(text string) (*Path, error) {
	plain := strings.TrimSpace(text)
	if strings.HasPrefix(plain, "{") && strings.HasSuffix(plain, "}") {
		plain = strings.TrimSpace(plain[1 : len(plain)-1])
	}
	if plain != "" && !strings.ContainsRune(".[$@", rune(plain[0])) {
		plain = "." + plain
	}
	r := &reader{text: plain}
	p, err := r.path()
	if err == nil && r.at < len(r.text) {
		err = r.fail("%q is too much", r.text[r.at:])
	}
	if err == nil && len(p.steps) == 0 {
		err = r.fail("a path is expected, like .metadata.name")
	}
	return p, err
}

// Write fills the template with values of a document: any tree of maps, slices and plain values.
func (t *Template) Write(w io.Writer, doc any) error {
	var b strings.Builder
	fill(&b, t.parts, doc, doc)
	_, err := io.WriteString(w, b.String())
	return err
}

func fill(b *strings.Builder, parts []part, doc, at any) {
	for _, p := range parts {
		switch {
		case p.path == nil:
			b.WriteString(p.text)
		case p.loop:
			for _, v := range p.path.find(doc, at) {
				fill(b, p.body, doc, v)
			}
		default:
			b.WriteString(Join(p.path.find(doc, at), " "))
		}
	}
}

// Find returns what the path leads to, in the order of the document.
func (p *Path) Find(doc any) []any { return p.find(doc, doc) }

// String is the path as it was written.
func (p *Path) String() string { return p.text }

// Error is a mistake in a path or template.
type Error struct {
	Text, Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("jsonpath %s: %s", e.Text, e.Reason) }
