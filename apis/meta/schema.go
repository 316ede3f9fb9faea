package meta

import (
	"encoding/json"
	"maps"
	"strings"
)

// schemaVersion is the JSON Schema draft that Schema writes.
const schemaVersion = "https://json-schema.org/draft/2020-12/schema"

// Bounded is a struct that knows more about its fields than their types say, as keywords of JSON Schema by field: the same
// that its Validate demands.
type Bounded interface {
	Bounds() map[string]map[string]any
}

// Schema returns a JSON Schema (draft 2020-12) for documents of any of the kinds, and for a List of them, that accepts
// what DecodeStrict accepts; rules between fields are left to the latter. It is for editors and for checks without a node.
func Schema(kinds ...*Field) map[string]any {
	defs, names, choices := map[string]any{}, []string{}, []any{}
	for _, k := range kinds {
		defs[k.Name] = k.schema()
		names = append(names, k.Name)
		choices = append(choices, when(k.Name, map[string]any{"$ref": "#/$defs/" + k.Name}))
	}
	if len(kinds) > 1 {
		names = append(names, ListKind)
		choices = append(choices, when(ListKind, map[string]any{
			"properties": map[string]any{"items": map[string]any{"type": "array", "items": map[string]any{"$ref": "#"}}}, "required": []string{"items"}}))
	}
	return map[string]any{
		"$schema": schemaVersion,
		"title":   "Warren " + strings.Join(names, ", "),
		"type":    "object",
		"properties": map[string]any{
			"apiVersion": map[string]any{"const": APIVersion}, "kind": map[string]any{"enum": names},
		},
		"required": []string{"apiVersion", "kind"},
		"allOf":    choices,
		"$defs":    defs,
	}
}

// when demands a schema of documents of one kind.
func when(kind string, then map[string]any) map[string]any {
	is := map[string]any{"properties": map[string]any{"kind": map[string]any{"const": kind}}, "required": []string{"kind"}}
	return map[string]any{"if": is, "then": then}
}

func (f *Field) schema() map[string]any {
	s := map[string]any{}
	if f.Doc != "" {
		s["description"] = f.Doc
	}
	if f.System {
		s["readOnly"] = true
	}
	if f.Default != "" {
		s["default"] = f.value(f.Default)
	}
	switch {
	case f.form != nil:
		maps.Copy(s, f.form.Schema)
	case f.Map:
		s["type"], s["additionalProperties"] = "object", f.Item.schema()
	case f.Item != nil:
		s["type"], s["items"] = "array", f.Item.schema()
	case f.plain == "object":
		f.members(s)
	default:
		s["type"] = f.plain
		if f.Type == "time" {
			s["format"] = "date-time"
		}
	}
	if len(f.Enum) > 0 {
		var values []string
		for _, c := range f.Enum {
			values = append(values, c.Value)
		}
		s["enum"] = values
	}
	maps.Copy(s, f.bounds)
	return s
}

// members adds those of a map with known fields. What the system writes may have fields of a newer release.
func (f *Field) members(s map[string]any) {
	properties, required := map[string]any{}, []string{}
	for _, x := range f.Fields {
		properties[x.Name] = x.schema()
		if x.Required {
			required = append(required, x.Name)
		}
	}
	s["type"], s["properties"] = "object", properties
	if !f.System {
		s["additionalProperties"] = false
	}
	if len(required) > 0 && !f.System {
		s["required"] = required
	}
}

// value is a default as its type has it.
func (f *Field) value(text string) any {
	var v any
	if f.plain == "string" || f.form != nil || json.Unmarshal([]byte(text), &v) != nil {
		return text
	}
	return v
}
