package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// writer turns a YAML node into JSON: keys given twice stay so for the strict decoder to see; numbers keep their
// spelling; what JSON has no number or boolean for (0x1f, 1_000, True) is text, so that nothing is guessed.
type writer struct {
	out  bytes.Buffer
	bad  string // the first thing that has no form in JSON, and its line
	line int
	// merged counts the members that were merged in: aliases of aliases could multiply them without end.
	merged int
}

func (w *writer) fail(n *yaml.Node, format string, args ...any) {
	if w.bad == "" {
		w.bad, w.line = fmt.Sprintf(format, args...), n.Line
	}
}

func (w *writer) node(n *yaml.Node, depth int) {
	switch {
	case w.bad != "":
	case depth > maxDepth:
		w.fail(n, "is nested more than %d levels deep", maxDepth)
	case w.out.Len() > maxExpanded:
		w.fail(n, "is too large: its aliases expand to more than %d MiB", maxExpanded>>20)
	case n.Kind == yaml.AliasNode:
		w.node(n.Alias, depth+1)
	case n.Kind == yaml.ScalarNode:
		w.scalar(n)
	case custom(n):
		w.fail(n, "the tag %s is not supported", n.Tag)
	case n.Kind == yaml.SequenceNode:
		w.sequence(n, depth)
	case n.Kind == yaml.MappingNode:
		w.mapping(n, depth)
	}
}

// custom tells whether a map or list carries a tag that gives it another meaning.
func custom(n *yaml.Node) bool {
	switch n.ShortTag() {
	case "!!map", "!!seq", "!!merge", "":
		return false
	}
	return true
}

func (w *writer) scalar(n *yaml.Node) {
	switch tag := n.ShortTag(); {
	case tag == "!!null":
		w.out.WriteString("null")
	case tag == "!!bool" && (n.Value == "true" || n.Value == "false"):
		w.out.WriteString(n.Value)
	case (tag == "!!int" || tag == "!!float") && json.Valid([]byte(n.Value)) && n.Value[0] != '"':
		w.out.WriteString(n.Value)
	case tag == "!!binary" || !strings.HasPrefix(tag, "!!"):
		w.fail(n, "the tag %s is not supported", n.Tag)
	default:
		w.text(n.Value)
	}
}

func (w *writer) text(s string) {
	data, _ := json.Marshal(s) // a string always has a form in JSON
	w.out.Write(data)
}

func (w *writer) sequence(n *yaml.Node, depth int) {
	w.out.WriteByte('[')
	for i, c := range n.Content {
		if i > 0 {
			w.out.WriteByte(',')
		}
		w.node(c, depth+1)
	}
	w.out.WriteByte(']')
}

func (w *writer) mapping(n *yaml.Node, depth int) {
	w.out.WriteByte('{')
	for i, e := range w.entries(n, depth) {
		if i > 0 {
			w.out.WriteByte(',')
		}
		w.text(e.key.Value)
		w.out.WriteByte(':')
		w.node(e.value, depth+1)
	}
	w.out.WriteByte('}')
}

// maxMerged bounds what '<<' may copy within one document.
const maxMerged = 20_000

type entry struct{ key, value *yaml.Node }

// entries returns the members of a map, then those that are merged in (<<) and not there already.
func (w *writer) entries(n *yaml.Node, depth int) []entry {
	switch {
	case depth > maxDepth:
		w.fail(n, "is nested more than %d levels deep", maxDepth)
		return nil
	case w.merged > maxMerged:
		w.fail(n, "is too large: '<<' merges more than %d members", maxMerged)
		return nil
	}
	w.merged++
	var own []entry
	var merged []*yaml.Node
	has := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolve(n.Content[i]), n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() == "!!null":
			w.fail(n.Content[i], "a key is no text")
		case key.ShortTag() == "!!merge":
			merged = append(merged, value)
		default:
			has[key.Value] = true
			own = append(own, entry{key, value})
		}
	}
	for _, m := range merged {
		for _, e := range w.merge(m, depth+1) {
			if w.merged++; !has[e.key.Value] {
				has[e.key.Value] = true
				own = append(own, e)
			}
		}
	}
	return own
}

func (w *writer) merge(n *yaml.Node, depth int) []entry {
	switch n = resolve(n); n.Kind {
	case yaml.MappingNode:
		return w.entries(n, depth)
	case yaml.SequenceNode:
		var all []entry
		for _, c := range n.Content {
			if c = resolve(c); c.Kind != yaml.MappingNode {
				w.fail(c, "'<<' merges maps only")
				continue
			}
			all = append(all, w.entries(c, depth)...)
		}
		return all
	}
	w.fail(n, "'<<' merges maps only")
	return nil
}

func resolve(n *yaml.Node) *yaml.Node {
	for range maxDepth {
		if n.Kind != yaml.AliasNode {
			break
		}
		n = n.Alias
	}
	return n
}
