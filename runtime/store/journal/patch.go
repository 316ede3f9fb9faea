package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	"warren.io/warren/apis/meta"
)

// patch is a JSON object, or the difference between two (RFC 7396): null removes a field, lists are replaced as a whole.
type patch map[string]any

// docOf is an object as JSON, without its revision and without what is null.
func docOf(o meta.Object) (patch, error) {
	data, err := meta.Encode(o)
	if err != nil {
		return nil, err
	}
	var doc patch
	if err := decode(data, &doc); err != nil {
		return nil, err
	}
	if m, ok := doc["metadata"].(map[string]any); ok {
		delete(m, "revision")
	}
	prune(doc)
	return doc, nil
}

// prune drops what is null, which means the same as absent and cannot be told by a patch.
func prune(doc map[string]any) {
	for k, v := range doc {
		switch v := v.(type) {
		case nil:
			delete(doc, k)
		case map[string]any:
			prune(v)
		}
	}
}

// object reads a document as an object of a kind.
func object(kinds meta.Kinds, key meta.Key, doc patch) (meta.Object, error) {
	k, ok := kinds.ByName(key.Kind)
	if !ok {
		return nil, fmt.Errorf("read %s: unknown kind", key)
	}
	data, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	o := k.New()
	if err := json.Unmarshal(data, o); err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	if o.Key() != key {
		return nil, fmt.Errorf("read %s: it says that it is %s", key, o.Key())
	}
	return o, nil
}

// diff is the patch that makes to of from; nil where they are the same.
func diff(from, to map[string]any) patch {
	var p patch
	set := func(k string, v any) {
		if p == nil {
			p = patch{}
		}
		p[k] = v
	}
	for k, v := range to {
		was, had := from[k]
		if had && reflect.DeepEqual(was, v) {
			continue
		}
		a, okA := was.(map[string]any)
		b, okB := v.(map[string]any)
		if okA && okB {
			set(k, map[string]any(diff(a, b)))
		} else {
			set(k, v)
		}
	}
	for k := range from {
		if _, there := to[k]; !there {
			set(k, nil)
		}
	}
	return p
}

// merge is a document with a patch over it. Neither is changed; the result may share parts of both.
func merge(doc, p map[string]any) patch {
	out := make(patch, len(doc))
	for k, v := range doc {
		out[k] = v
	}
	for k, v := range p {
		switch v := v.(type) {
		case nil:
			delete(out, k)
		case map[string]any:
			was, _ := out[k].(map[string]any)
			out[k] = map[string]any(merge(was, v))
		default:
			out[k] = v
		}
	}
	return out
}

// decode reads JSON and leaves numbers as they are written.
func decode(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d.Decode(into)
}
