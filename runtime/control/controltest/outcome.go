package controltest

import (
	"encoding/json"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/store"
)

// outcome is what one reconcile did.
type outcome struct {
	snap   *control.Snapshot
	ops    []store.Op
	notes  []control.Note
	result control.Result
	err    error
}

// shown is the form of out.yaml.
type shown struct {
	Error   string                    `json:"error,omitempty"`
	After   string                    `json:"after,omitempty"`
	Created []any                     `json:"created,omitempty"`
	Changed map[string]map[string]any `json:"changed,omitempty"`
	Deleted []string                  `json:"deleted,omitempty"`
	Events  []string                  `json:"events,omitempty"`
	Host    any                       `json:"host,omitempty"`
}

func (d *outcome) String(host any) string {
	s := shown{Host: host}
	if d.err != nil {
		s.Error = d.err.Error()
	}
	if d.result.After > 0 {
		s.After = d.result.After.String()
	}
	for _, op := range d.ops {
		old, had := d.snap.Get(op.Key)
		switch {
		case op.Verb == store.Delete:
			s.Deleted = append(s.Deleted, op.Key.String())
		case !had:
			s.Created = append(s.Created, plain(op.Object))
		default:
			if s.Changed == nil {
				s.Changed = map[string]map[string]any{}
			}
			s.Changed[op.Key.String()] = fields(old, op.Object)
		}
	}
	for _, n := range d.notes {
		kind := v1.EventNormal
		if n.Warning {
			kind = v1.EventWarning
		}
		s.Events = append(s.Events, fmt.Sprintf("%s %s %s: %s", kind, n.About, n.Reason, n.Message))
	}
	data, err := yaml.Marshal(s)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// plain is an object without what each new one has.
func plain(o meta.Object) any {
	o = o.Clone()
	o.Meta().Generation = 0
	m := tree(o)
	delete(m, "apiVersion")
	delete(m["metadata"].(map[string]any), "created")
	if len(o.Key().Kind) > 0 && fmt.Sprint(m["status"]) == fmt.Sprint(tree(empty(o))["status"]) {
		delete(m, "status")
	}
	return m
}

func empty(o meta.Object) meta.Object {
	k, _ := v1.Kinds.ByName(o.Key().Kind)
	return k.New()
}

// fields shows the new value of each field that differs; null is a field that was emptied.
func fields(old, new meta.Object) map[string]any {
	out, t := map[string]any{}, tree(new)
	for _, path := range meta.Diff(old, new) {
		if path == "metadata.generation" {
			continue
		}
		var v any = t
		for name := range strings.SplitSeq(path, ".") {
			m, _ := v.(map[string]any)
			v = m[name]
		}
		out[path] = v
	}
	return out
}

func tree(o meta.Object) map[string]any {
	var m map[string]any
	data, err := meta.Encode(o)
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil {
		panic(err) // resources are plain data
	}
	return m
}
