package meta

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Field is one place in the documents of a kind: what may stand there. Outline makes it from the Go types, so that what
// is explained, what a schema says and what is decoded cannot differ.
type Field struct {
	Name string // as in JSON; of a whole document its kind
	Path string // from the document's root, like spec.env[].name; empty for the document
	Type string // in people's words: text, whole number, list of text
	// Doc is the first comment on it in the Go source, Since the release that brought it.
	Doc, Since string
	// Default is what stands there after SetDefaults if the user left it out; empty if nothing does.
	Default  string
	Enum     []Choice // all that is allowed, where that is a list
	Required bool     // a user has to write it
	System   bool     // written by the system; what a user writes there is left out
	Fields   []*Field // of a struct, in the order of the API
	Item     *Field   // of a list or a map
	Map      bool     // Item is the value of any key
	form     *Form
	plain    string         // the JSON type
	bounds   map[string]any // of JSON Schema
}

// Choice is an allowed value.
type Choice struct{ Value, Doc string }

// List tells whether it is a list.
func (f *Field) List() bool { return f.Item != nil && !f.Map }

// Field returns the field of that name below, also within the items of a list, or nil.
func (f *Field) Field(name string) *Field {
	for _, x := range f.Fields {
		if x.Name == name {
			return x
		}
	}
	return nil
}

// Form says how a type that reads JSON by its own rules is written: its name in people's words, and its JSON Schema.
type Form struct {
	Name   string
	Schema map[string]any
}

// Formed is a type with a form of its own.
type Formed interface{ Form() Form }

// FirstRelease is the one that fields are from if their comment says nothing else ("Since 0.2.").
const FirstRelease = "0.1"

// Docs are the comments of the Go source: by "v1.ServiceSpec" for types, "v1.ServiceSpec.replicas" for fields and
// "v1.ServiceMode=Global" for the values of a type.
type Docs map[string]string

// Outline describes all documents of a kind.
func Outline(k *Kind, docs Docs) *Field {
	o := k.New()
	o.SetDefaults()
	x := &outline{docs: docs, kind: k}
	v := reflect.ValueOf(o).Elem()
	root := &Field{Name: k.Name, Type: "a document", Since: FirstRelease, plain: "object"}
	root.Doc, root.Since = x.about(reflect.TypeOf(o.SpecOf()).Elem(), strings.TrimSuffix(reflect.TypeOf(o.SpecOf()).Elem().Name(), "Spec"))
	root.Fields = x.fields(v.Type(), v, "")
	for _, f := range root.Fields {
		if f.Name == "metadata" || f.Name == "spec" && slices.ContainsFunc(f.Fields, func(x *Field) bool { return x.Required }) {
			f.Required = true
		}
	}
	return root
}

type outline struct {
	docs Docs
	kind *Kind
}

// typeKey is the key of a type in Docs.
func typeKey(t reflect.Type) string {
	name, _, _ := strings.Cut(t.Name(), "[")
	return t.PkgPath()[strings.LastIndexByte(t.PkgPath(), '/')+1:] + "." + name
}

// about returns the comment on a type of a name in the package of t.
func (x *outline) about(t reflect.Type, name string) (doc, since string) {
	pkg, _, _ := strings.Cut(typeKey(t), ".")
	return sinceOf(x.docs[pkg+"."+name])
}

// sinceOf cuts "Since 0.2." off a comment.
func sinceOf(doc string) (text, since string) {
	at := strings.LastIndex(doc, "Since ")
	if at < 0 || !strings.HasSuffix(doc, ".") || strings.Contains(doc[at+6:], " ") {
		return doc, FirstRelease
	}
	return strings.TrimSpace(doc[:at]), strings.TrimSuffix(doc[at+6:], ".")
}

// fields returns those of a struct type; v holds the defaults, and is not valid where there are none.
func (x *outline) fields(t reflect.Type, v reflect.Value, path string) []*Field {
	var out []*Field
	bounds := map[string]map[string]any{}
	if own, ok := reflect.New(t).Interface().(Bounded); ok {
		bounds = own.Bounds()
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		var inner reflect.Value
		if v.IsValid() {
			inner = v.Field(i)
		}
		switch {
		case f.Anonymous && name == "":
			out = append(out, x.fields(f.Type, inner, path)...)
		case f.IsExported() && name != "" && name != "-":
			field := x.field(name, f.Type, inner, joinPath(path, name))
			if doc := x.docs[typeKey(t)+"."+name]; doc != "" {
				field.Doc, field.Since = sinceOf(doc)
			}
			field.System = ignored[field.Path] || strings.HasPrefix(field.Path, "status") || !x.kind.Written() && !strings.HasPrefix(field.Path, "metadata")
			field.bounds = bounds[name]
			optional := strings.Contains(options, "omit") || strings.HasPrefix(field.Path, "status") || ignored[path]
			field.Required = !optional
			out = append(out, field)
		}
	}
	return out
}

func (x *outline) field(name string, t reflect.Type, v reflect.Value, path string) *Field {
	f := &Field{Name: name, Path: path, Since: FirstRelease}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
		if v.IsValid() {
			v = v.Elem()
		}
	}
	x.shape(f, t, v)
	if f.Default == "" && v.IsValid() && !v.IsZero() && len(f.Fields) == 0 {
		f.Default = textOf(v.Interface())
	}
	return f
}

var timeType = reflect.TypeFor[time.Time]()

// shape fills in what follows from the type.
func (x *outline) shape(f *Field, t reflect.Type, v reflect.Value) {
	if t.Name() != "" && strings.Contains(t.PkgPath(), "/") {
		f.Doc, f.Since = sinceOf(x.docs[typeKey(t)])
	}
	if own, ok := reflect.New(t).Interface().(Formed); ok {
		form := own.Form()
		f.form, f.Type = &form, form.Name
	}
	switch {
	case t == timeType:
		f.Type, f.plain = "time", "string"
	case t.Kind() == reflect.Struct:
		f.plain, f.Fields = "object", x.fields(t, v, f.Path)
		f.Type = or(f.Type, "map")
	case t.Kind() == reflect.Slice:
		f.plain, f.Item = "array", x.field("", t.Elem(), reflect.Value{}, f.Path+"[]")
		f.Type = or(f.Type, "list of "+f.Item.Type)
	case t.Kind() == reflect.Map:
		f.plain, f.Item, f.Map = "object", x.field("", t.Elem(), reflect.Value{}, f.Path+".*"), true
		f.Type = or(f.Type, "map of "+f.Item.Type)
	case t.Kind() == reflect.Bool:
		f.plain, f.Type = "boolean", or(f.Type, "true or false")
	case t.Kind() == reflect.String:
		f.plain, f.Type, f.Enum = "string", or(f.Type, "text"), x.choices(t)
	default:
		f.plain, f.Type = "integer", or(f.Type, "whole number")
	}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// choices are the constants of a type of texts.
func (x *outline) choices(t reflect.Type) []Choice {
	prefix := typeKey(t) + "="
	var out []Choice
	for _, key := range SortedKeys(x.docs) {
		if value, ok := strings.CutPrefix(key, prefix); ok {
			out = append(out, Choice{Value: value, Doc: x.docs[key]})
		}
	}
	slices.SortStableFunc(out, func(a, b Choice) int { return strings.Compare(a.Doc, b.Doc) })
	for i := range out { // the number in front is the order in the source
		_, out[i].Doc, _ = strings.Cut(out[i].Doc, " ")
	}
	return out
}

// textOf writes a default as JSON, texts without quotes.
func textOf(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	var s string
	if json.Unmarshal(data, &s) == nil {
		return s
	}
	return string(data)
}
