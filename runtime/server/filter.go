package server

import (
	"encoding/json"
	"slices"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/server/api"
	"warren.io/warren/runtime/store"
)

// filter is what a reader wants to see. The zero filter lets everything pass.
type filter struct {
	kinds  []string
	name   string
	labels selector
}

func newFilter(f *api.Filter) (filter, error) {
	sel, err := parseSelector(f.GetLabels())
	return filter{kinds: f.GetKinds(), name: f.GetName(), labels: sel}, err
}

// sees tells by the key alone whether an object can be wanted.
func (f filter) sees(k meta.Key) bool {
	return (len(f.kinds) == 0 || slices.Contains(f.kinds, k.Kind)) && (f.name == "" || f.name == k.Name)
}

// matchJSON tells by its labels alone whether an object is wanted. One of which they cannot be read has none.
func (f filter) matchJSON(data []byte) bool {
	if f.labels == nil {
		return true
	}
	var o struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
	}
	_ = json.Unmarshal(data, &o)
	return f.labels.match(o.Metadata.Labels)
}

// changes filters a watch. An object whose labels do not match counts as gone, since it may have matched before; out
// remembers which the watcher was told to be gone, so that it hears that once.
type changes struct {
	filter
	out map[meta.Key]bool
}

func (f filter) changes() *changes { return &changes{filter: f, out: map[meta.Key]bool{}} }

// pass returns the changes that the watcher is told of.
func (c *changes) pass(in []store.Change) []store.Change {
	if len(c.kinds) == 0 && c.name == "" && c.labels == nil {
		return in
	}
	var out []store.Change
	for _, x := range in {
		if !c.sees(x.Key) {
			continue
		}
		known := c.out[x.Key]
		switch {
		case x.Object == nil:
			delete(c.out, x.Key)
		case c.labels.match(x.Object.Meta().Labels):
			delete(c.out, x.Key)
			known = false
		default:
			c.out[x.Key] = true
			x.Object = nil
		}
		if !known {
			out = append(out, x)
		}
	}
	return out
}
