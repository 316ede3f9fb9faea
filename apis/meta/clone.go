package meta

import "reflect"

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

// flat types hold nothing that an assignment would share. Structs with unexported fields (time.Time) count as values.
func flat(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return false
	case reflect.Struct:
		return t.NumField() > 0 && !t.Field(0).IsExported()
	}
	return true
}
