package manifest

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"warren.io/warren/apis/meta"
)

// bytes reads all documents of one file.
func (r *reader) bytes(file string, data []byte) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		r.fail(file, 1, "is UTF-16; save it as UTF-8")
		return
	}
	if line := badText(data); line > 0 {
		r.fail(file, line, "is no text in UTF-8")
		return
	}
	r.last = bytes.Count(data, []byte("\n")) + 1
	parts := split(data)
	if len(parts) > MaxDocuments {
		r.fail(file, 1, "holds %d documents; at most %d are read", len(parts), MaxDocuments)
		return
	}
	for _, p := range parts {
		r.part(file, p)
	}
}

// badText returns the line of the first byte that is no text, or 0.
func badText(data []byte) int {
	for i, line := 0, 1; i < len(data); {
		c, n := utf8.DecodeRune(data[i:])
		switch {
		case c == utf8.RuneError && n == 1, c == 0:
			return line
		case c == '\n':
			line++
		}
		i += n
	}
	return 0
}

// part is the text of one document; before is the number of lines above it.
type part struct {
	text   []byte
	before int
}

// split cuts a stream at its document markers. YAML allows "---" and "..." at the start of a line for nothing else, so
// that one broken document hides no problem of the next.
func split(data []byte) []part {
	var parts []part
	cur := part{}
	end := func() {
		if hasContent(cur.text) {
			parts = append(parts, cur)
		}
	}
	line := 0
	for text := range bytes.Lines(data) {
		if isMarker(text, "---") || isMarker(text, "...") {
			end()
			cur = part{before: line}
			if text[0] == '.' {
				text = []byte("\n")
			}
		}
		cur.text = append(cur.text, text...)
		line++
	}
	end()
	return parts
}

func isMarker(line []byte, marker string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(marker))
	return ok && (len(rest) == 0 || strings.ContainsRune(" \t\r\n", rune(rest[0])))
}

// hasContent tells whether there is more than blanks, comments, directives and a marker.
func hasContent(text []byte) bool {
	for line := range bytes.Lines(text) {
		if isMarker(line, "---") {
			line = line[3:]
		}
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' && line[0] != '%' {
			return true
		}
	}
	return false
}

func (r *reader) part(file string, p part) {
	n := &yaml.Node{}
	if json.Valid(p.text) {
		n.Content = []*yaml.Node{fromJSON(p.text)}
	} else if err := yaml.Unmarshal(p.text, n); err != nil {
		r.syntax(file, p, err)
		return
	}
	if len(n.Content) == 0 {
		return
	}
	for _, doc := range items(n.Content[0]) {
		r.document(file, p.before, doc)
	}
}

// items returns the documents in a List, or the one document.
func items(n *yaml.Node) []*yaml.Node {
	if kind := child(n, "kind"); kind != nil && kind.Value == meta.ListKind {
		if list := child(n, "items"); list != nil && list.Kind == yaml.SequenceNode {
			return list.Content
		}
	}
	return []*yaml.Node{n}
}

func child(n *yaml.Node, name string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

// syntax reports what is no YAML at all, in the words of the parser unless the cause is the usual one.
func (r *reader) syntax(file string, p part, err error) {
	line, reason := explain(p.text, err)
	lines := bytes.Count(bytes.TrimRight(p.text, "\n"), []byte("\n")) + 1
	r.fail(file, p.before+min(line, lines), "is no YAML: %s", reason)
}

var (
	atLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?s:(.*))$`)
	anchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// explain finds line and reason in an error of the parser.
func explain(text []byte, err error) (int, string) {
	line, reason := 1, err.Error()
	if m := atLine.FindStringSubmatch(reason); m != nil {
		reason = m[2]
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
			if strings.HasPrefix(reason, "did not find expected") {
				line++ // of these errors, and only these, the parser counts lines from 0
			}
		}
	}
	if m := anchor.FindStringSubmatch(reason); m != nil {
		line = bytes.Count(text[:max(bytes.Index(text, []byte("*"+m[1])), 0)], []byte("\n")) + 1
	}
	if n := tabbed(text); n > 0 {
		return n, "a tab is used to indent; YAML allows spaces only"
	}
	return line, reason
}

// tabbed returns the first line that is indented with a tab, or 0.
func tabbed(text []byte) int {
	n := 0
	for line := range bytes.Lines(text) {
		n++
		if blank := len(line) - len(bytes.TrimLeft(line, " \t")); bytes.IndexByte(line[:blank], '\t') >= 0 {
			return n
		}
	}
	return 0
}

// document checks one object. Lines of the node count from the part's start.
func (r *reader) document(file string, before int, n *yaml.Node) {
	w := &writer{}
	w.node(n, 0)
	if w.bad != "" {
		r.fail(file, min(before+w.line, r.last), "%s", w.bad)
		return
	}
	o, problems := kinds.DecodeStrict(w.out.Bytes())
	var lines map[string]int
	r.take(file, before+n.Line, o, problems, func(path string) int {
		if lines == nil {
			lines = lineIndex(n)
		}
		return before + lineOf(lines, path)
	})
}

// take keeps an object or its problems, each at the line of its path.
func (r *reader) take(file string, line int, o meta.Object, problems *meta.Problems, lineOf func(string) int) {
	name := ""
	if o != nil {
		name = strings.TrimSuffix(o.Key().String(), "/")
		if k, ok := kinds.ByName(o.Key().Kind); ok && !k.Written() && problems.Err() == nil {
			problems.Add("kind", "%s are made by the cluster itself, not written in manifests", k.Plural)
		}
	}
	if problems.Err() == nil {
		r.docs = append(r.docs, Document{Object: o, File: file, Line: min(line, r.last)})
		return
	}
	for _, p := range problems.List {
		r.problems.add(Problem{File: file, Line: min(lineOf(p.Path), r.last), Object: name, Problem: p})
	}
}
