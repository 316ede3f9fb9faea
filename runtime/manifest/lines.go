package manifest

import (
	"fmt"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// lineIndex returns the line of each path of a document. Members of a map are also found by their place in the order of
// keys (spec.env[2]), since that is how a map that became a list is complained about.
func lineIndex(n *yaml.Node) map[string]int {
	lines := map[string]int{"": n.Line}
	index(lines, n, "", 0)
	return lines
}

// maxIndexed bounds the index where aliases multiply nodes.
const maxIndexed = 100_000

func index(lines map[string]int, n *yaml.Node, path string, depth int) {
	if depth > maxDepth || len(lines) > maxIndexed {
		return
	}
	switch n = resolve(n); n.Kind {
	case yaml.SequenceNode:
		for i, c := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			lines[at] = c.Line
			index(lines, c, at, depth+1)
		}
	case yaml.MappingNode:
		entries := (&writer{}).entries(n, depth)
		for _, e := range entries {
			at := e.key.Value
			if path != "" {
				at = path + "." + at
			}
			lines[at] = e.key.Line
			index(lines, e.value, at, depth+1)
		}
		sort.SliceStable(entries, func(i, j int) bool { return entries[i].key.Value < entries[j].key.Value })
		for i, e := range entries {
			lines[fmt.Sprintf("%s[%d]", path, i)] = e.key.Line
		}
	}
}

// lineOf finds the line of a path, or of the nearest one above it that was written: a missing field belongs to its parent.
func lineOf(lines map[string]int, path string) int {
	for {
		if line, ok := lines[path]; ok {
			return line
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
}
