package warrenctl

import (
	"reflect"
	"regexp"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
)

// redacted stands where a secret may have been.
const redacted = "REDACTED"

// secretish is a name with a word in it that names of secrets have.
const secretish = `[a-z0-9_.-]*(?:passw(?:or)?d|passphrase|secret|token|credential|authorization|api[-_]?key|access[-_]?key|private[-_]?key)[a-z0-9_.-]*`

var (
	// keyIn is a key as it lies in files, userIn a password in an address, bearer one in a header.
	keyIn  = regexp.MustCompile(`-----BEGIN [A-Z ]+-----[\s\S]*?(?:-----END [A-Z ]+-----|$)`)
	userIn = regexp.MustCompile(`([a-z][a-z0-9+.-]*://)[^/\s@"']+@`)
	bearer = regexp.MustCompile(`(?i)\b(bearer|basic)\s+[a-z0-9+/=._~-]{8,}`)
	// equals is a value beside its name. In texts a colon means something else; between arguments it may mean the same.
	equals = regexp.MustCompile(`(?i)(` + secretish + `=)("[^"]*"|'[^']*'|[^\s"'&;]+)`)
	colon  = regexp.MustCompile(`(?i)(` + secretish + `["']?\s*:\s*)("[^"]*"|'[^']*'|[^\s"'&;]+)`)
	// changed and arguments are how events tell of a change: metadata.annotations.token set to x, spec.args [x y] -> [z]. Arguments
	// may have commas in them, so all that follows goes.
	changed   = regexp.MustCompile(`(?im)(` + secretish + `["')\]]*\s+)(?:set to .+?|\S.*? -> .+?)(, |$)`)
	arguments = regexp.MustCompile(`(?m)(spec\.(?:args|command)\S*\s+)(?:set to |.* -> ).*$`)
	// flag is an argument that is nothing else, or whose value is the next one.
	flagWith    = regexp.MustCompile(`(?is)^(--?` + secretish + `[=:]).*$`)
	flagWithout = regexp.MustCompile(`(?i)^--?` + secretish + `$`)
	secretName  = regexp.MustCompile(`(?i)^` + secretish + `$`)
)

// scrub takes what looks like a secret out of a text.
func scrub(text string) string {
	text = keyIn.ReplaceAllString(text, redacted)
	text = userIn.ReplaceAllString(text, "${1}"+redacted+"@")
	text = bearer.ReplaceAllString(text, "${1} "+redacted)
	text = arguments.ReplaceAllString(text, "${1}"+redacted)
	text = changed.ReplaceAllString(text, "${1}"+redacted+"${2}")
	return equals.ReplaceAllString(text, "${1}"+redacted)
}

// scrubText is scrub for what a node tells of itself.
func scrubText(text []byte) []byte { return []byte(scrub(string(text))) }

// scrubValue is scrub for what people wrote: an argument, an annotation.
func scrubValue(text string) string {
	text = flagWith.ReplaceAllString(text, "${1}"+redacted)
	return colon.ReplaceAllString(scrub(text), "${1}"+redacted)
}

// scrubList does the same for arguments, one of which may say what the next one is.
func scrubList(list []string) {
	for i := range list {
		if i > 0 && flagWithout.MatchString(list[i-1]) {
			list[i] = redacted
		} else {
			list[i] = scrubValue(list[i])
		}
	}
}

// redact returns a copy of an object without the values of environment variables, unless they are wanted, and without what
// looks like a secret elsewhere.
func redact(o meta.Object, withEnv bool) meta.Object {
	o = o.Clone()
	wash(reflect.ValueOf(o), withEnv)
	return o
}

// wash goes through all that a copy of an object holds.
func wash(v reflect.Value, withEnv bool) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			wash(v.Elem(), withEnv)
		}
	case reflect.Struct:
		washStruct(v, withEnv)
	case reflect.Slice:
		if list, ok := v.Interface().([]string); ok {
			scrubList(list)
			return
		}
		for i := range v.Len() {
			wash(v.Index(i), withEnv)
		}
	case reflect.Map:
		washMap(v)
	case reflect.String:
		if v.CanSet() {
			v.SetString(scrub(v.String()))
		}
	}
}

func washStruct(v reflect.Value, withEnv bool) {
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		return
	case *v1.EnvVar:
		if !withEnv && x.Value != "" {
			x.Value = redacted
		}
		return
	}
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() {
			wash(v.Field(i), withEnv)
		}
	}
}

func washMap(v reflect.Value) {
	m, ok := v.Interface().(map[string]string)
	if !ok {
		return
	}
	for k, value := range m {
		if secretName.MatchString(k) {
			m[k] = redacted
		} else {
			m[k] = scrubValue(value)
		}
	}
}
