package meta

import "reflect"

// CopySpec gives to the spec of from, an object of the same type.
func CopySpec(to, from Object) {
	reflect.ValueOf(to.SpecOf()).Elem().Set(reflect.ValueOf(from.Clone().SpecOf()).Elem())
}
