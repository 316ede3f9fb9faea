package control

import (
	"reflect"
	"strings"

	"warren.io/warren/apis/meta"
)

// hasField tells whether objects of a kind have a field at a path like status.subnet.
func hasField(kind *meta.Kind, path string) bool {
	t := reflect.TypeOf(kind.New()).Elem()
	for name := range strings.SplitSeq(path, ".") {
		f, ok := field(t, name)
		if !ok {
			return false
		}
		if t = f; t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
	}
	return true
}

// field finds the type of a struct's field by its name in JSON.
func field(t reflect.Type, name string) (reflect.Type, bool) {
	if t.Kind() != reflect.Struct {
		return nil, false
	}
	for i := range t.NumField() {
		f := t.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag == name && name != "" {
			return f.Type, true
		}
		if f.Anonymous && tag == "" {
			if inner, ok := field(f.Type, name); ok {
				return inner, true
			}
		}
	}
	return nil, false
}
