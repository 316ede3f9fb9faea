package v1

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"warren.io/warren/apis/meta"
)

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// UnmarshalJSON reads {NAME: value}, ["NAME=value", ...] or [{name, value}, ...]. Values may be text, numbers or booleans.
func (e *Env) UnmarshalJSON(data []byte) error {
	*e = nil
	switch data = bytes.TrimSpace(data); {
	case bytes.Equal(data, []byte("null")):
		return nil
	case len(data) > 0 && data[0] == '{':
		return e.fromMap(data)
	case len(data) > 0 && data[0] == '[':
		return e.fromList(data)
	}
	return fmt.Errorf("write a map {NAME: value} or a list of NAME=value")
}

func (e *Env) fromMap(data []byte) error {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(data, &m); err != nil {
		return err
	}
	var p meta.Problems
	for _, name := range meta.SortedKeys(m) {
		v, err := scalar(m[name])
		if err != nil {
			p.Add("."+name, "%v", err)
		}
		*e = append(*e, EnvVar{Name: name, Value: v})
	}
	return p.Err()
}

func (e *Env) fromList(data []byte) error {
	if vars, ok := plainEnv(string(data)); ok {
		*e = vars
		return nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(data, &items); err != nil {
		return err
	}
	var p meta.Problems
	for i, raw := range items {
		v, err := envItem(raw)
		if err != nil {
			p.Add(fmt.Sprintf("[%d]", i), "%v", err)
		}
		*e = append(*e, v)
	}
	return p.Err()
}

// plainEnv reads the form that this program writes, when nothing in it is escaped: most of what stores and lists hold, many
// times faster than the general way. The variables share the memory of text.
func plainEnv(text string) (Env, bool) {
	vars := make(Env, 0, strings.Count(text, plainName))
	for rest, ok := text, true; ; {
		var v EnvVar
		before := byte('[')
		if len(vars) > 0 {
			before = ','
		}
		if rest == "" || rest[0] != before {
			return nil, false
		}
		if v.Name, rest, ok = plainText(rest[1:], plainName); !ok {
			return nil, false
		}
		if v.Value, rest, ok = plainText(rest, plainValue); !ok || rest == "" || rest[0] != '}' {
			return nil, false
		}
		if vars, rest = append(vars, v), rest[1:]; rest == "]" {
			return vars, true
		}
	}
}

const (
	plainName  = `{"name":"`
	plainValue = `,"value":"`
)

// plainText takes a text after what begins it. A text with escapes, or with bytes of which JSON makes others, is not plain.
func plainText(s, begin string) (text, rest string, ok bool) {
	if s, ok = strings.CutPrefix(s, begin); !ok {
		return "", "", false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"':
			return s[:i], s[i+1:], true
		case c == '\\' || c < ' ' || c > '~':
			return "", "", false
		}
	}
	return "", "", false
}

func envItem(raw json.RawMessage) (EnvVar, error) {
	if raw[0] == '"' {
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return EnvVar{}, err
		}
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return EnvVar{}, fmt.Errorf("%q has no '='; write NAME=value", s)
		}
		return EnvVar{Name: name, Value: value}, nil
	}
	var v struct {
		Name  string
		Value json.RawMessage
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return EnvVar{}, fmt.Errorf("write NAME=value or {name: NAME, value: text}")
	}
	if v.Value == nil {
		return EnvVar{Name: v.Name}, nil
	}
	s, err := scalar(v.Value)
	return EnvVar{Name: v.Name, Value: s}, err
}

func scalar(raw json.RawMessage) (string, error) {
	switch raw[0] {
	case '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	case '{', '[':
		return "", fmt.Errorf("is a list or a map; a value is text, a number, true or false")
	case 'n':
		return "", nil
	}
	return string(raw), nil
}

func (e Env) validate(p *meta.Problems, path string) {
	seen := map[string]bool{}
	for i, v := range e {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case !envName.MatchString(v.Name):
			p.Add(at+".name", "%q is no variable name; use letters, digits and '_', not beginning with a digit", v.Name)
		case seen[v.Name]:
			p.Add(at+".name", "%s is set twice", v.Name)
		case strings.ContainsRune(v.Value, 0):
			p.Add(at+".value", "of %s contains a zero byte", v.Name)
		}
		seen[v.Name] = true
	}
}
