package meta

import (
	"reflect"
	"sync"
)

// CloneOf returns a deep copy of a value made of structs, maps, slices, pointers and plain values.
func CloneOf[T any](v *T) *T {
	out := new(T)
	copyInto(reflect.ValueOf(out).Elem(), reflect.ValueOf(v).Elem())
	return out
}

func copyInto(dst, src reflect.Value) {
	dst.Set(src)
	deepen(dst, src)
}

// deepen makes what dst, a copy of src, shares with it its own.
func deepen(dst, src reflect.Value) {
	switch src.Kind() {
	case reflect.Struct:
		for _, i := range deepFields(src.Type()) {
			deepen(dst.Field(i), src.Field(i))
		}
	case reflect.Pointer:
		if !src.IsNil() {
			dst.Set(reflect.New(src.Type().Elem()))
			copyInto(dst.Elem(), src.Elem())
		}
	case reflect.Slice:
		copySlice(dst, src)
	case reflect.Map:
		copyMap(dst, src)
	}
}

func copySlice(dst, src reflect.Value) {
	if src.IsNil() {
		return
	}
	dst.Set(reflect.MakeSlice(src.Type(), src.Len(), src.Len()))
	if flat(src.Type().Elem()) {
		reflect.Copy(dst, src)
		return
	}
	for i := range src.Len() {
		copyInto(dst.Index(i), src.Index(i))
	}
}

func copyMap(dst, src reflect.Value) {
	if src.IsNil() {
		return
	}
	dst.Set(reflect.MakeMapWithSize(src.Type(), src.Len()))
	for it := src.MapRange(); it.Next(); {
		v := reflect.New(src.Type().Elem()).Elem()
		copyInto(v, it.Value())
		dst.SetMapIndex(it.Key(), v)
	}
}

// deep remembers what deepFields found out about a struct: asking the type again each time is most of the work of a copy.
var deep sync.Map // reflect.Type -> []int

// deepFields are those of a struct that an assignment would share something of.
func deepFields(t reflect.Type) []int {
	if known, ok := deep.Load(t); ok {
		return known.([]int)
	}
	var found []int
	for i := range t.NumField() {
		if !opaque(t) && !flat(t.Field(i).Type) {
			found = append(found, i)
		}
	}
	deep.Store(t, found)
	return found
}

// flat types hold nothing that an assignment would share.
func flat(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return false
	case reflect.Struct:
		return len(deepFields(t)) == 0
	}
	return true
}

// opaque structs have unexported fields, like time.Time, and count as values.
func opaque(t reflect.Type) bool { return t.NumField() > 0 && !t.Field(0).IsExported() }
