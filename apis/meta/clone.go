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
	if flat(src.Type()) {
		return
	}
	switch src.Kind() {
	case reflect.Struct:
		for i := range src.NumField() {
			if !flat(src.Type().Field(i).Type) {
				copyInto(dst.Field(i), src.Field(i))
			}
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

// flatness remembers what flat found out about a struct.
var flatness sync.Map // reflect.Type -> bool

// flat types hold nothing that an assignment would share.
func flat(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return false
	case reflect.Struct:
		if known, ok := flatness.Load(t); ok {
			return known.(bool)
		}
		is := opaque(t) || flatFields(t)
		flatness.Store(t, is)
		return is
	}
	return true
}

// opaque structs have unexported fields, like time.Time, and count as values.
func opaque(t reflect.Type) bool { return t.NumField() > 0 && !t.Field(0).IsExported() }

func flatFields(t reflect.Type) bool {
	for i := range t.NumField() {
		if !flat(t.Field(i).Type) {
			return false
		}
	}
	return true
}
