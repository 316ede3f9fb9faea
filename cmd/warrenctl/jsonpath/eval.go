package jsonpath

import (
	"slices"

	"warren.io/warren/apis/meta"
)

func (p *Path) find(doc, at any) []any {
	now := []any{at}
	if p.root {
		now = []any{doc}
	}
	for _, s := range p.steps {
		var next []any
		for _, v := range now {
			next = append(next, s.from(doc, v)...)
		}
		now = next
	}
	return now
}

// from returns what one step leads to; what is not there is nothing.
func (s step) from(doc, v any) []any {
	switch {
	case s.deep != "":
		return deep(v, s.deep)
	case s.all:
		return children(v)
	case s.slice != nil:
		list, _ := v.([]any)
		return s.slice.of(list)
	case s.filter != nil:
		var out []any
		for _, c := range children(v) {
			if s.filter.holds(doc, c) {
				out = append(out, c)
			}
		}
		return out
	}
	var out []any
	for _, name := range s.names {
		if x, ok := member(v, name); ok {
			out = append(out, x)
		}
	}
	return out
}

// member is the value of a field or key.
func member(v any, name string) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		x, ok := v[name]
		return x, ok
	case record:
		return v.field(name)
	}
	return nil, false
}

// children are the items of a list, or the values of a map in the order of its keys.
func children(v any) []any {
	switch v := v.(type) {
	case []any:
		return v
	case record:
		return v.children()
	case map[string]any:
		var out []any
		for _, k := range meta.SortedKeys(v) {
			out = append(out, v[k])
		}
		return out
	}
	return nil
}

func deep(v any, name string) []any {
	var out []any
	if x, ok := member(v, name); ok {
		out = append(out, x)
	}
	for _, c := range children(v) {
		out = append(out, deep(c, name)...)
	}
	return out
}

func (s *slice) of(list []any) []any {
	place := func(n *int, missing int) int {
		switch {
		case n == nil:
			return missing
		case *n < 0:
			return len(list) + *n
		}
		return *n
	}
	from, to := place(s.from, 0), place(s.to, len(list))
	if s.single {
		if from < 0 || from >= len(list) {
			return nil
		}
		to = from + 1
	}
	from, to = max(from, 0), min(to, len(list))
	if from >= to {
		return nil
	}
	return slices.Clone(list[from:to])
}

func (f *filter) holds(doc, v any) bool {
	left := f.left.of(doc, v)
	if f.op == "" {
		return len(left) > 0
	}
	right := f.right.of(doc, v)
	if len(left) == 0 || len(right) == 0 { // what is not there differs from everything, and compares with nothing
		return f.op == "!=" && len(left) != len(right)
	}
	c := Compare(left[0], right[0])
	switch f.op {
	case "==":
		return c == 0
	case "!=":
		return c != 0
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	}
	return c >= 0
}

func (o operand) of(doc, v any) []any {
	if o.path == nil {
		return []any{o.value}
	}
	return o.path.find(doc, v)
}
