package meta

import (
	"reflect"
	"strings"
	"sync"
	"time"
)

// Diff returns the JSON paths at which two objects of one type differ, in the order of the fields: spec.node,
// status.conditions. Lists, maps and values with an own JSON form (times, quantities) count as one field.
func Diff(a, b Object) []string {
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	if va.Type() != vb.Type() {
		return []string{"kind"}
	}
	return diff(va.Elem(), vb.Elem())
}

// leaf is one field that is compared as a whole.
type leaf struct {
	path  string
	index []int
}

// leaves remembers the fields of each type: looking them up is most of the work of a comparison.
var leaves sync.Map // reflect.Type -> []leaf

func leavesOf(t reflect.Type) []leaf {
	if known, ok := leaves.Load(t); ok {
		return known.([]leaf)
	}
	found := findLeaves(t, "", nil)
	leaves.Store(t, found)
	return found
}

func findLeaves(t reflect.Type, path string, index []int) []leaf {
	if t.Kind() != reflect.Struct || opaque(t) {
		return []leaf{{path, index}}
	}
	var out []leaf
	for i := range t.NumField() {
		f := t.Field(i)
		out = append(out, findLeaves(f.Type, join(path, f), append(index[:len(index):len(index)], i))...)
	}
	return out
}

func diff(a, b reflect.Value) []string {
	var out []string
	for _, l := range leavesOf(a.Type()) {
		if !same(a.FieldByIndex(l.index), b.FieldByIndex(l.index)) {
			out = append(out, l.path)
		}
	}
	return out
}

// same compares two fields of structs that a pointer leads to.
func same(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.String:
		return a.String() == b.String()
	case reflect.Bool:
		return a.Bool() == b.Bool()
	case reflect.Int, reflect.Int64:
		return a.Int() == b.Int()
	case reflect.Slice, reflect.Map:
		if n := a.Len(); n == b.Len() && (n == 0 || a.UnsafePointer() == b.UnsafePointer()) {
			return true // nil and empty are the same in JSON with omitempty
		}
	case reflect.Struct:
		if t, ok := a.Addr().Interface().(*time.Time); ok {
			return t.Equal(*b.Addr().Interface().(*time.Time))
		}
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
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
	return len(diff(reflect.ValueOf(a.SpecOf()).Elem(), reflect.ValueOf(b.SpecOf()).Elem())) > 0
}

// CopyStatus gives to the status of from, an object of the same type.
func CopyStatus(to, from Object) {
	reflect.ValueOf(to.StatusOf()).Elem().Set(reflect.ValueOf(from.Clone().StatusOf()).Elem())
}
