package meta

import (
	"reflect"
	"strings"
)

// Diff returns the JSON paths at which two objects of one type differ, in the order of the fields: spec.node,
// status.conditions. Lists, maps and values with an own JSON form (times, quantities) count as one field.
func Diff(a, b Object) []string {
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	if va.Type() != vb.Type() {
		return []string{"kind"}
	}
	var out []string
	diff(va.Elem(), vb.Elem(), "", &out)
	return out
}

func diff(a, b reflect.Value, path string, out *[]string) {
	if a.Kind() != reflect.Struct || flat(a.Type()) && a.NumField() > 0 && !a.Type().Field(0).IsExported() {
		if !same(a, b) {
			*out = append(*out, path)
		}
		return
	}
	for i := range a.NumField() {
		f := a.Type().Field(i)
		diff(a.Field(i), b.Field(i), join(path, f), out)
	}
}

func same(a, b reflect.Value) bool {
	if (a.Kind() == reflect.Slice || a.Kind() == reflect.Map) && a.Len() == 0 && b.Len() == 0 {
		return true // nil and empty are the same in JSON with omitempty
	}
	x, y := a.Interface(), b.Interface()
	if t, ok := x.(interface{ Equal(Clock) bool }); ok {
		return t.Equal(y.(Clock))
	}
	return reflect.DeepEqual(x, y)
}

func join(path string, f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	switch {
	case f.Anonymous && name == "":
		return path
	case path == "":
		return name
	}
	return path + "." + name
}

// SpecChanged tells whether two objects of one type differ in their spec.
func SpecChanged(a, b Object) bool {
	var out []string
	diff(reflect.ValueOf(a.SpecOf()).Elem(), reflect.ValueOf(b.SpecOf()).Elem(), "spec", &out)
	return len(out) > 0
}

// CopyStatus gives to the status of from, an object of the same type.
func CopyStatus(to, from Object) {
	reflect.ValueOf(to.StatusOf()).Elem().Set(reflect.ValueOf(from.Clone().StatusOf()).Elem())
}
