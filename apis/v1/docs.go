package v1

import (
	_ "embed"
	"strings"
	"sync"

	"warren.io/warren/apis/meta"
)

//go:generate go run ../../hack/fielddocs ../.. fields.txt

//go:embed fields.txt
var fields string

var docs = sync.OnceValue(func() meta.Docs {
	out := meta.Docs{}
	for line := range strings.Lines(fields) {
		name, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		out[name] = text
	}
	return out
})

// Outline describes the documents of a kind: every field with its type, default, comment and allowed values.
func Outline(k *meta.Kind) *meta.Field { return meta.Outline(k, docs()) }

// Form implements meta.Formed.
func (Env) Form() meta.Form {
	value := map[string]any{"type": []string{"string", "number", "boolean", "null"}}
	name := map[string]any{"type": "string", "pattern": envName.String()}
	pair := map[string]any{"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_.-]*="}
	variable := map[string]any{"type": "object", "properties": map[string]any{"name": name, "value": value}, "required": []string{"name"}, "additionalProperties": false}
	return meta.Form{Name: "map of NAME: value, or list of NAME=value or {name, value}", Schema: map[string]any{"anyOf": []any{
		map[string]any{"type": "object", "propertyNames": map[string]any{"pattern": envName.String()}, "additionalProperties": value},
		map[string]any{"type": "array", "items": map[string]any{"anyOf": []any{pair, variable}}},
	}}}
}

// Bounds implements meta.Bounded.
func (*ServiceSpec) Bounds() map[string]map[string]any {
	return map[string]map[string]any{"replicas": {"minimum": 0, "maximum": MaxReplicas}}
}

// Bounds implements meta.Bounded.
func (*TaskTemplate) Bounds() map[string]map[string]any {
	return map[string]map[string]any{
		"image":      {"pattern": imageForm.String(), "maxLength": 400},
		"user":       {"pattern": userForm.String()},
		"hostname":   {"pattern": hostnameForm.String(), "maxLength": 63},
		"workingDir": {"pattern": "^/"},
		"stopSignal": {"enum": Signals},
		"command":    {"maxItems": MaxArgs},
		"args":       {"maxItems": MaxArgs},
		"labels":     meta.LabelBounds(),
	}
}

// Bounds implements meta.Bounded.
func (*Restart) Bounds() map[string]map[string]any {
	return map[string]map[string]any{"maxAttempts": {"minimum": 0}}
}

// Bounds implements meta.Bounded.
func (*ResourceList) Bounds() map[string]map[string]any {
	return map[string]map[string]any{"pids": {"minimum": 0}}
}
