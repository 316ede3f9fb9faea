package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"warren.io/warren/apis/meta"
)

// FieldChange is one field with another value. Values are as in JSON, texts without quotes; empty means not there.
type FieldChange struct {
	Path, From, To string
}

// Changes lists the fields that a user writes and that differ between two states of an object, by path.
func Changes(from, to meta.Object) []FieldChange {
	a, b := flat(from), flat(to)
	both := maps.Clone(a)
	maps.Copy(both, b)
	var out []FieldChange
	for _, path := range slices.Sorted(maps.Keys(both)) {
		_, was := a[path]
		_, is := b[path]
		if was != is || a[path] != b[path] {
			out = append(out, FieldChange{Path: path, From: a[path], To: b[path]})
		}
	}
	return out
}

// flat returns the leaves of spec, labels and annotations by their paths.
func flat(o meta.Object) map[string]string {
	out := map[string]string{}
	user := map[string]any{
		"metadata": map[string]any{"labels": o.Meta().Labels, "annotations": o.Meta().Annotations},
		"spec":     o.SpecOf(),
	}
	data, err := json.Marshal(user)
	var tree any
	if err == nil {
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber() // no number turns into a float
		err = dec.Decode(&tree)
	}
	if err != nil { // every kind has a form in JSON; a test encodes all of them
		panic(fmt.Sprintf("manifest: encode %s: %v", o.Key(), err))
	}
	leaves(out, "", tree)
	return out
}

func leaves(out map[string]string, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			at := k
			if path != "" {
				at = path + "." + k
			}
			leaves(out, at, x)
		}
	case []any:
		listLeaves(out, path, v)
	case string:
		out[path] = v
	case nil:
	default:
		data, _ := json.Marshal(v) // a number or a boolean
		out[path] = string(data)
	}
}

// listLeaves keeps a list of words in one piece; things with a name, like variables, are told apart by it and not by their place.
func listLeaves(out map[string]string, path string, items []any) {
	var words []string
	for i, item := range items {
		switch x := item.(type) {
		case map[string]any:
			name, ok := x["name"].(string)
			value, single := x["value"].(string)
			switch {
			case ok && single && len(x) == 2:
				leaves(out, fmt.Sprintf("%s[%s]", path, name), value)
			default:
				leaves(out, fmt.Sprintf("%s[%d]", path, i), x)
			}
		default:
			data, _ := json.Marshal(x)
			words = append(words, string(data))
		}
	}
	if len(words) > 0 {
		out[path] = "[" + strings.Join(words, ", ") + "]"
	}
}
