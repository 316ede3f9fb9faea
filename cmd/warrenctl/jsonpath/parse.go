package jsonpath

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxDepth bounds ranges in ranges and filters in filters.
const maxDepth = 16

// reader goes through the text of a template or path.
type reader struct {
	text  string
	at    int
	depth int
}

func (r *reader) fail(format string, args ...any) error {
	return &Error{Text: r.text, Reason: fmt.Sprintf(format, args...)}
}

// parts reads up to the end of the text or to an {end}, which it takes.
func (r *reader) parts() (out []part, ended bool, err error) {
	if r.depth++; r.depth > maxDepth {
		return nil, false, r.fail("more than %d ranges in each other", maxDepth)
	}
	defer func() { r.depth-- }()
	for r.at < len(r.text) {
		text, _, _ := strings.Cut(r.text[r.at:], "{")
		if r.at += len(text); text != "" {
			out = append(out, part{text: text})
		}
		if !r.take("{") {
			break
		}
		p, end, err := r.braces()
		if err != nil || end {
			return out, end, err
		}
		out = append(out, p)
	}
	return out, false, nil
}

// braces reads what stands between { and }.
func (r *reader) braces() (p part, end bool, err error) {
	r.blanks()
	switch {
	case r.word("end"):
		return p, true, r.closing()
	case r.word("range"):
		p.loop = true
		if p.path, err = r.path(); err == nil {
			err = r.closing()
		}
		if err == nil {
			p.body, end, err = r.parts()
		}
		if err == nil && !end {
			err = r.fail("{range} without {end}")
		}
		return p, false, err
	case r.at < len(r.text) && (r.text[r.at] == '"' || r.text[r.at] == '\''):
		p.text, err = r.quoted()
	default:
		p.path, err = r.path()
		if err == nil && len(p.path.steps) == 0 && p.path.text == "" {
			err = r.fail("a path is expected after {, like {.metadata.name}")
		}
	}
	if err == nil {
		err = r.closing()
	}
	return p, false, err
}

func (r *reader) closing() error {
	r.blanks()
	if !r.take("}") {
		if r.at == len(r.text) {
			return r.fail("a } is missing")
		}
		return r.fail("%q is not understood; a path looks like .spec.node, .items[*] or ['a.b']", r.rest())
	}
	return nil
}

func (r *reader) blanks() {
	for r.at < len(r.text) && r.text[r.at] == ' ' {
		r.at++
	}
}

func (r *reader) take(s string) bool {
	if strings.HasPrefix(r.text[r.at:], s) {
		r.at += len(s)
		return true
	}
	return false
}

// word takes a word that stands alone.
func (r *reader) word(s string) bool {
	rest, ok := strings.CutPrefix(r.text[r.at:], s)
	if !ok || rest != "" && !strings.ContainsRune(" }", rune(rest[0])) {
		return false
	}
	r.at += len(s)
	r.blanks()
	return true
}

// rest is what comes next, cut for a message.
func (r *reader) rest() string {
	s := r.text[r.at:]
	if len(s) > 20 {
		s = strings.ToValidUTF8(s[:20], "") + "..."
	}
	return s
}

// path reads steps as far as they go.
func (r *reader) path() (*Path, error) {
	from := r.at
	p := &Path{root: r.take("$")}
	if !p.root {
		r.take("@")
	}
	for r.at < len(r.text) {
		var s step
		var err error
		switch {
		case r.take(".."):
			s.deep, err = r.name()
		case r.take(".*"):
			s.all = true
		case r.take(".["):
			s, err = r.bracket()
		case r.take("."):
			if r.at == len(r.text) || strings.ContainsRune("} ", rune(r.text[r.at])) {
				p.text = r.text[from:r.at]
				return p, nil // the value itself: {.}
			}
			var name string
			name, err = r.name()
			s.names = []string{name}
		case r.take("["):
			s, err = r.bracket()
		default:
			p.text = r.text[from:r.at]
			return p, nil
		}
		if err != nil {
			return nil, err
		}
		p.steps = append(p.steps, s)
	}
	p.text = r.text[from:r.at]
	return p, nil
}

// name reads the name of a field; a backslash takes the next character as it is: .labels.a\.b
func (r *reader) name() (string, error) {
	var b strings.Builder
	for r.at < len(r.text) && !strings.ContainsRune(".[]{}()=!<>&|,'\" ", rune(r.text[r.at])) {
		if r.text[r.at] == '\\' && r.at+1 < len(r.text) {
			r.at++
		}
		b.WriteByte(r.text[r.at])
		r.at++
	}
	if b.Len() == 0 {
		return "", r.fail("the name of a field is expected at %q", r.rest())
	}
	return b.String(), nil
}

// bracket reads what stands between [ and ].
func (r *reader) bracket() (s step, err error) {
	r.blanks()
	switch {
	case r.take("*"):
		s.all = true
	case r.take("?("):
		s.filter, err = r.filter()
	case r.at < len(r.text) && (r.text[r.at] == '"' || r.text[r.at] == '\''):
		s.names, err = r.quotedList()
	default:
		s.slice, err = r.slice()
	}
	if err != nil {
		return s, err
	}
	if r.blanks(); !r.take("]") {
		return s, r.fail("a ] is missing at %q", r.rest())
	}
	return s, nil
}

func (r *reader) quotedList() ([]string, error) {
	var out []string
	for {
		name, err := r.quoted()
		if err != nil {
			return nil, err
		}
		out = append(out, name)
		if r.blanks(); !r.take(",") {
			return out, nil
		}
		r.blanks()
	}
}

// quoted reads "text" with the escapes of JSON, or 'text'.
func (r *reader) quoted() (string, error) {
	if r.at == len(r.text) || r.text[r.at] != '"' && r.text[r.at] != '\'' {
		return "", r.fail("a text in quotes is expected at %q", r.rest())
	}
	quote, from := r.text[r.at], r.at
	for r.at++; r.at < len(r.text) && r.text[r.at] != quote; r.at++ {
		if r.text[r.at] == '\\' {
			r.at++
		}
	}
	if r.at >= len(r.text) {
		return "", r.fail("the quote at %q does not end", r.text[from:])
	}
	r.at++
	inner := r.text[from+1 : r.at-1]
	if quote == '\'' {
		inner = strings.ReplaceAll(strings.ReplaceAll(inner, `\'`, `'`), `"`, `\"`)
	}
	var out string
	if json.Unmarshal([]byte(`"`+inner+`"`), &out) != nil {
		return "", r.fail("%s is no text in quotes", r.text[from:r.at])
	}
	return out, nil
}

// slice reads 3, -1, 1:3, :2 or 1:.
func (r *reader) slice() (*slice, error) {
	inner, _, ok := strings.Cut(r.text[r.at:], "]")
	parts := strings.Split(strings.TrimSpace(inner), ":")
	if !ok || len(parts) > 2 {
		return nil, r.fail("[%s is not understood; write [*], [0], [-1], [1:3], ['name'] or [?(@.a==\"b\")]", r.rest())
	}
	bounds := make([]*int, 2)
	for i, text := range parts {
		if text == "" && len(parts) == 2 {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, r.fail("[%s] is not understood; write [*], [0], [-1], [1:3], ['name'] or [?(@.a==\"b\")]", inner)
		}
		bounds[i] = &n
	}
	r.at += len(inner)
	return &slice{from: bounds[0], to: bounds[1], single: len(parts) == 1}, nil
}

var operators = []string{"==", "!=", "<=", ">=", "<", ">"}

// filter reads a comparison up to its parenthesis.
func (r *reader) filter() (*filter, error) {
	if r.depth++; r.depth > maxDepth {
		return nil, r.fail("more than %d filters in each other", maxDepth)
	}
	defer func() { r.depth-- }()
	f := &filter{}
	var err error
	if f.left, err = r.operand(); err != nil {
		return nil, err
	}
	r.blanks()
	if i := slices.IndexFunc(operators, r.take); i >= 0 {
		f.op = operators[i]
		if f.right, err = r.operand(); err != nil {
			return nil, err
		}
	}
	if r.blanks(); !r.take(")") {
		return nil, r.fail("%q in a filter is not understood; write ?(@.a==\"b\") with one of %s", r.rest(), strings.Join(operators, " "))
	}
	return f, nil
}

func (r *reader) operand() (o operand, err error) {
	r.blanks()
	rest := r.text[r.at:]
	switch {
	case rest != "" && (rest[0] == '"' || rest[0] == '\''):
		o.value, err = r.quoted()
	case rest != "" && (rest[0] == '@' || rest[0] == '$'):
		o.path, err = r.path()
	default:
		var word string
		if word, _, _ = strings.Cut(rest, ")"); strings.ContainsAny(word, "=!<> ") {
			word = word[:strings.IndexAny(word, "=!<> ")]
		}
		dec := json.NewDecoder(strings.NewReader(word))
		dec.UseNumber()
		if dec.Decode(&o.value) != nil {
			return o, r.fail("%q in a filter is not understood; write @.field, \"text\", a number, true or false", word)
		}
		r.at += len(word)
	}
	return o, err
}
