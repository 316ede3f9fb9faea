package jsonpath

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"warren.io/warren/apis/meta"
)

// Of returns a Go value as a document with the names and values that JSON gives it. Structs stay what they are until a
// path leads into them: who looks at one field of ten thousand objects pays for no other.
func Of(v any) any { return plain(reflect.ValueOf(v)) }

// record is a struct as a map of its fields.
type record struct{ v reflect.Value }

// MarshalJSON writes it as the struct.
func (r record) MarshalJSON() ([]byte, error) { return json.Marshal(r.v.Interface()) }

// slot is where a field lies in a struct, and when JSON leaves it out.
type slot struct {
	index               []int
	omitEmpty, omitZero bool
}

var slots sync.Map // of struct types: map[string]slot

func slotsOf(t reflect.Type) map[string]slot {
	if known, ok := slots.Load(t); ok {
		return known.(map[string]slot)
	}
	out := map[string]slot{}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && name != "" && name != "-" {
			out[name] = slot{f.Index, strings.Contains(options, "omitempty"), strings.Contains(options, "omitzero")}
		}
	}
	slots.Store(t, out)
	return out
}

func (r record) field(name string) (any, bool) {
	at, ok := slotsOf(r.v.Type())[name]
	if !ok {
		return nil, false
	}
	f := r.v.FieldByIndex(at.index)
	if at.omitEmpty && empty(f) || at.omitZero && zero(f) {
		return nil, false
	}
	return plain(f), true
}

// children are the values of the fields in the order of their names, as those of a map.
func (r record) children() []any {
	var out []any
	for _, name := range meta.SortedKeys(slotsOf(r.v.Type())) {
		if v, ok := r.field(name); ok {
			out = append(out, v)
		}
	}
	return out
}

func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map, reflect.String, reflect.Array:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

func zero(v reflect.Value) bool {
	if v.Type().Implements(zeroer) {
		return v.Interface().(interface{ IsZero() bool }).IsZero()
	}
	return v.IsZero()
}

// What types can do, without a copy of their value.
var (
	zeroer     = reflect.TypeFor[interface{ IsZero() bool }]()
	writesJSON = reflect.TypeFor[json.Marshaler]()
	writesText = reflect.TypeFor[encoding.TextMarshaler]()
)

func plain(v reflect.Value) any {
	if !v.IsValid() || (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface || v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.IsNil() {
		return nil
	}
	if t := v.Type(); t.NumMethod() > 0 && t.Kind() != reflect.Interface && (t.Implements(writesJSON) || t.Implements(writesText)) {
		return parsed(v.Interface())
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return plain(v.Elem())
	case reflect.Struct:
		return record{v}
	case reflect.Slice:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = plain(v.Index(i))
		}
		return out
	case reflect.Map:
		out := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			out[it.Key().String()] = plain(it.Value())
		}
		return out
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return json.Number(strconv.FormatInt(v.Int(), 10))
	}
	return parsed(v.Interface())
}

// parsed is a value as JSON has it.
func parsed(v any) any {
	var out any
	data, err := json.Marshal(v)
	if err == nil {
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber() // no number turns into a float
		err = dec.Decode(&out)
	}
	if err != nil {
		return nil // all fields of all kinds have a form in JSON
	}
	return out
}
