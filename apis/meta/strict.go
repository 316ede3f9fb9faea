package meta

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// ListKind is the kind of a document that holds several others below items.
const ListKind = "List"

// ignored are the fields that the system writes: they stand in what `get -o yaml` prints, which people edit and apply again.
var ignored = map[string]bool{
	"status": true, "metadata.uid": true, "metadata.revision": true, "metadata.generation": true, "metadata.created": true,
	"metadata.deleted": true, "metadata.finalizers": true, "metadata.owner": true,
}

// DecodeStrict reads one object that a person wrote, as JSON, applies the defaults and validates. All problems are
// reported at once, with paths from the document's root; unknown fields, wrong types, null and fields given twice are
// problems. Status and the metadata that the system writes are accepted and left out. The object is nil when not even its
// kind is known; it may be used only when Problems.Err() is nil.
func (ks Kinds) DecodeStrict(data []byte) (Object, *Problems) {
	s := &strict{problems: &Problems{}}
	fields, ok := s.top(data)
	if !ok {
		return nil, s.problems
	}
	kind := s.kind(ks, fields)
	if kind == nil {
		return nil, s.problems
	}
	o := kind.New()
	s.root = reflect.TypeOf(o).Elem()
	s.value(bytes.TrimSpace(data), reflect.ValueOf(o).Elem(), "")
	o.SetDefaults()
	s.validate(o)
	return o, s.problems
}

// strict is one decoding. Its methods go through document and type together and set what fits.
type strict struct {
	problems *Problems
	root     reflect.Type
	// blamed are the paths that a problem was told about, or that it suggests: validation does not complain there again.
	blamed []string
}

func (s *strict) add(path, format string, args ...any) {
	s.problems.Add(path, format, args...)
	s.blamed = append(s.blamed, path)
}

func (s *strict) top(data []byte) (map[string]json.RawMessage, bool) {
	var m map[string]json.RawMessage
	err := json.Unmarshal(data, &m)
	if err == nil && m != nil {
		return m, true
	}
	var wrong *json.UnmarshalTypeError
	if err == nil || errors.As(err, &wrong) {
		s.add("", "the document is %s; a map with apiVersion, kind, metadata and spec is expected", typeOf(bytes.TrimSpace(data)))
	} else {
		s.add("", "is no JSON: %v", err)
	}
	return nil, false
}

// kind finds what the document is; all else depends on it.
func (s *strict) kind(ks Kinds, fields map[string]json.RawMessage) *Kind {
	var version, name string
	if raw, ok := fields["apiVersion"]; !ok {
		s.add("apiVersion", "is required; write %s", APIVersion)
	} else if json.Unmarshal(raw, &version) != nil || version != APIVersion {
		s.add("apiVersion", "is %s; %s is expected", short(raw), APIVersion)
	}
	raw, ok := fields["kind"]
	if !ok {
		s.add("kind", "is required; one of %s", strings.Join(ks.written(), ", "))
		return nil
	}
	if json.Unmarshal(raw, &name) != nil {
		s.add("kind", "is %s; a text is expected", typeOf(raw))
		return nil
	}
	if k, ok := ks.ByName(name); ok {
		return k
	}
	if near := suggest(name, ks.written()); near != "" {
		s.add("kind", "unknown kind %q; did you mean '%s'?", name, near)
	} else {
		s.add("kind", "unknown kind %q; use one of %s", name, strings.Join(ks.written(), ", "))
	}
	return nil
}

// written are the kinds that people write.
func (ks Kinds) written() []string {
	var names []string
	for _, k := range ks {
		if k.Written() {
			names = append(names, k.Name)
		}
	}
	return names
}

// value sets v from raw, or says why not. Recursion is bounded by the depth of the type.
func (s *strict) value(raw json.RawMessage, v reflect.Value, path string) {
	if raw[0] == 'n' {
		s.add(path, "has no value; give it one or leave the field out")
		return
	}
	if u, ok := v.Addr().Interface().(json.Unmarshaler); ok {
		s.custom(raw, u, v, path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		s.value(raw, v.Elem(), path)
	case reflect.Struct:
		s.object(raw, v, path)
	case reflect.Map:
		s.dict(raw, v, path)
	case reflect.Slice:
		s.list(raw, v, path)
	default:
		s.scalar(raw, v, path)
	}
}

// custom leaves the reading to a type's own rules. If its error is Problems, their paths continue this one.
func (s *strict) custom(raw json.RawMessage, u json.Unmarshaler, v reflect.Value, path string) {
	if (raw[0] == '{' || raw[0] == '[') && v.Kind() != reflect.Slice && v.Kind() != reflect.Struct {
		s.add(path, "is %s; a single value is expected", typeOf(raw))
		return
	}
	if raw[0] == '{' {
		s.members(raw, path, func(string, json.RawMessage, string) {}) // what is given twice is lost on a type that reads a map
	}
	err := u.UnmarshalJSON(raw)
	var inner *Problems
	if errors.As(err, &inner) {
		for _, p := range inner.List {
			s.add(path+p.Path, "%s", p.Reason)
		}
	} else if err != nil {
		s.add(path, "%v", err)
	}
}

func (s *strict) object(raw json.RawMessage, v reflect.Value, path string) {
	known := fieldsOf(v.Type(), nil)
	s.members(raw, path, func(name string, raw json.RawMessage, at string) {
		f, ok := known[name]
		switch {
		case ok && ignored[at]:
		case ok:
			s.value(raw, v.FieldByIndex(f.Index), at)
		default:
			s.unknown(name, path, at, known)
		}
	})
}

func (s *strict) unknown(name, parent, at string, known map[string]reflect.StructField) {
	near := suggest(name, SortedKeys(known))
	full := joinPath(parent, near)
	if near == "" {
		if full = findField(s.root, name, ""); full == "" {
			s.add(at, "unknown field; there are %s", strings.Join(SortedKeys(known), ", "))
			return
		}
		near = full
	}
	s.add(at, "unknown field; did you mean '%s'?", near)
	s.blamed = append(s.blamed, full)
}

func (s *strict) dict(raw json.RawMessage, v reflect.Value, path string) {
	v.Set(reflect.MakeMap(v.Type()))
	s.members(raw, path, func(name string, raw json.RawMessage, at string) {
		e := reflect.New(v.Type().Elem()).Elem()
		s.value(raw, e, at)
		v.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), e)
	})
}

// members calls each for the members of a JSON object in their order, and complains about those that come twice.
func (s *strict) members(raw json.RawMessage, path string, each func(name string, raw json.RawMessage, at string)) {
	if raw[0] != '{' {
		s.add(path, "is %s; a map is expected", typeOf(raw))
		return
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	_, _ = dec.Token() // the brace; the text was checked at the top
	seen := map[string]bool{}
	for dec.More() {
		key, err := dec.Token()
		name, _ := key.(string)
		var member json.RawMessage
		if err == nil {
			err = dec.Decode(&member)
		}
		if err != nil {
			s.add(path, "is no JSON: %v", err)
			return
		}
		at := joinPath(path, name)
		if seen[name] {
			s.add(at, "is given twice")
			continue
		}
		seen[name] = true
		each(name, member, at)
	}
}

func (s *strict) list(raw json.RawMessage, v reflect.Value, path string) {
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		hint := ""
		if raw[0] == '"' {
			hint = fmt.Sprintf(", like [%s]", short(raw))
		}
		s.add(path, "is %s; a list is expected%s", typeOf(raw), hint)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		s.value(item, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
	}
}

func (s *strict) scalar(raw json.RawMessage, v reflect.Value, path string) {
	want, fits := "a text", raw[0] == '"'
	switch v.Kind() {
	case reflect.Bool:
		want, fits = "true or false", raw[0] == 't' || raw[0] == 'f'
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		want, fits = "a whole number", isNumber(raw)
	}
	if !fits {
		s.add(path, "is %s; %s is expected%s", typeOf(raw), want, quoting(raw, v.Kind()))
		return
	}
	if json.Unmarshal(raw, v.Addr().Interface()) != nil {
		s.add(path, "is %s; %s is expected", short(raw), want)
	}
}

// quoting tells about the usual cause of a wrong type in YAML: quotes too few or too many.
func quoting(raw json.RawMessage, want reflect.Kind) string {
	if want == reflect.String && raw[0] != '{' && raw[0] != '[' {
		return fmt.Sprintf("; write it in quotes: %q", short(raw))
	}
	if inner := bytes.Trim(raw, `"`); want != reflect.String && raw[0] == '"' && json.Valid(inner) && inner[0] != '{' && inner[0] != '[' {
		return "; write it without quotes"
	}
	return ""
}

// validate adds the kind's own problems where nothing else was wrong already.
func (s *strict) validate(o Object) {
	var own Problems
	o.Validate(&own)
	for _, p := range own.List {
		if !s.isBlamed(p.Path) {
			s.problems.List = append(s.problems.List, p)
		}
	}
}

func (s *strict) isBlamed(path string) bool {
	for _, b := range s.blamed {
		if rest, ok := strings.CutPrefix(path, b); ok && (b == "" || rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}
