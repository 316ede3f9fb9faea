package meta

import (
	"encoding/json"
	"reflect"
	"strings"
)

// fieldsOf returns the fields of a struct by their JSON name, those of embedded structs included; Index leads from the outer one.
func fieldsOf(t reflect.Type, index []int) map[string]reflect.StructField {
	out := map[string]reflect.StructField{}
	for i := range t.NumField() {
		f := t.Field(i)
		f.Index = append(append([]int(nil), index...), i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			for n, inner := range fieldsOf(f.Type, f.Index) {
				if _, shadowed := out[n]; !shadowed {
					out[n] = inner
				}
			}
		case f.IsExported() && name != "" && name != "-":
			out[name] = f
		}
	}
	return out
}

// findField returns the path of the field of that name that lies least deep below a type, for people who wrote it in the
// wrong place; "" if there is none.
func findField(t reflect.Type, name, path string) string {
	fields, best := fieldsOf(t, nil), ""
	if _, ok := fields[name]; ok && path != "" {
		return joinPath(path, name)
	}
	for _, n := range SortedKeys(fields) {
		inner := fields[n].Type
		if inner.Kind() != reflect.Struct || ignored[joinPath(path, n)] || reflect.PointerTo(inner).Implements(unmarshaler) {
			continue
		}
		p := findField(inner, name, joinPath(path, n))
		if p != "" && (best == "" || strings.Count(p, ".") < strings.Count(best, ".")) {
			best = p
		}
	}
	return best
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// suggest is Suggest that first looks past case, '-' and '_'.
func suggest(word string, list []string) string {
	plain := strings.NewReplacer("-", "", "_", "")
	for _, w := range list {
		if strings.EqualFold(plain.Replace(word), w) {
			return w
		}
	}
	return Suggest(word, list)
}

func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// typeOf names the type of a JSON value to people.
func typeOf(raw json.RawMessage) string {
	switch {
	case len(raw) == 0 || raw[0] == 'n':
		return "empty"
	case raw[0] == '{':
		return "a map"
	case raw[0] == '[':
		return "a list"
	case raw[0] == '"':
		return "the text " + short(raw)
	case raw[0] == 't' || raw[0] == 'f':
		return string(raw)
	}
	return "the number " + short(raw)
}

func isNumber(raw json.RawMessage) bool { return raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9' }

// short cuts a value for a message.
func short(raw json.RawMessage) string {
	const most = 40
	if r := []rune(string(raw)); len(r) > most {
		return string(r[:most-3]) + "..."
	}
	return string(raw)
}
