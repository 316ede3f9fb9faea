package jsonpath

import (
	"errors"
	"fmt"
	"strings"

	"warren.io/warren/apis/meta"
)

// Check holds the template against the documents that it may be filled from: a field that none of them can have is an error.
func (t *Template) Check(docs ...*meta.Field) error { return checkParts(t.parts, docs, docs) }

// Check is the same for one path.
func (p *Path) Check(docs ...*meta.Field) error {
	_, err := p.check(docs, docs)
	return err
}

func checkParts(parts []part, docs, at []*meta.Field) error {
	for _, p := range parts {
		if p.path == nil {
			continue
		}
		inner, err := p.path.check(docs, at)
		if err == nil && p.loop {
			err = checkParts(p.body, docs, inner)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// check returns the fields that the path leads to.
func (p *Path) check(docs, at []*meta.Field) ([]*meta.Field, error) {
	if p.root {
		at = docs
	}
	for _, s := range p.steps {
		var next []*meta.Field
		var wrong error
		for _, f := range at {
			to, err := s.check(docs, f)
			if next = append(next, to...); wrong == nil {
				wrong = err
			}
		}
		if len(next) == 0 && wrong != nil {
			return nil, &Error{Text: p.text, Reason: wrong.Error()}
		}
		at = next
	}
	return at, nil
}

func (s step) check(docs []*meta.Field, f *meta.Field) ([]*meta.Field, error) {
	switch {
	case s.deep != "":
		return under(f, s.deep), nil
	case len(s.names) > 0:
		return named(f, s.names)
	case f.Item == nil && len(f.Fields) == 0, s.slice != nil && !f.List():
		return nil, fmt.Errorf("%s is %s, not a list", place(f), f.Type)
	}
	inner := f.Fields
	if f.Item != nil {
		inner = []*meta.Field{f.Item}
	}
	if s.filter != nil {
		for _, o := range []operand{s.filter.left, s.filter.right} {
			if o.path == nil {
				continue
			}
			if _, err := o.path.check(docs, inner); err != nil {
				return nil, err
			}
		}
	}
	return inner, nil
}

func named(f *meta.Field, names []string) ([]*meta.Field, error) {
	switch {
	case f.Map:
		return []*meta.Field{f.Item}, nil
	case f.List():
		return nil, fmt.Errorf("%s is a list; write [*] or [0] after it", place(f))
	case len(f.Fields) == 0:
		return nil, fmt.Errorf("%s is %s and has no field %s", place(f), f.Type, names[0])
	}
	var out []*meta.Field
	for _, name := range names {
		inner := f.Field(name)
		if inner == nil {
			return nil, errors.New(missing(f, name))
		}
		out = append(out, inner)
	}
	return out, nil
}

func missing(f *meta.Field, name string) string {
	var known []string
	for _, x := range f.Fields {
		known = append(known, x.Name)
	}
	text := fmt.Sprintf("%s has no field %q", place(f), name)
	if near := meta.Suggest(name, known); near != "" {
		return text + fmt.Sprintf("; did you mean %q?", near)
	}
	return text + "; there are " + strings.Join(known, ", ")
}

func place(f *meta.Field) string {
	if f.Path == "" {
		return f.Name
	}
	return f.Path
}

// under finds the fields of a name at any depth.
func under(f *meta.Field, name string) []*meta.Field {
	var out []*meta.Field
	if x := f.Field(name); x != nil {
		out = append(out, x)
	}
	for _, x := range f.Fields {
		out = append(out, under(x, name)...)
	}
	if f.Item != nil {
		out = append(out, under(f.Item, name)...)
	}
	return out
}
