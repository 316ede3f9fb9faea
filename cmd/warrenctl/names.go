package warrenctl

import (
	"errors"
	"strings"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
)

// all is the word for every kind that people look at.
const all = "all"

// kindOf finds a kind by what a person types.
func kindOf(word string) (*meta.Kind, error) {
	k, err := v1.Kinds.Find(word)
	switch near := elsewhere[strings.ToLower(word)]; {
	case err == nil:
		return k, nil
	case word == all:
		return nil, try(usagef("all kinds at once can only be listed"), "warrenctl get all")
	case near != "":
		return nil, usagef("unknown kind %q; did you mean %q?", word, near)
	}
	return nil, usagef("%v", err)
}

// keysOf reads KIND NAME... or KIND/NAME ...; a kind alone gives the kind and no keys.
func keysOf(words []string) (*meta.Kind, []meta.Key, error) {
	if len(words) == 0 {
		return nil, nil, nil
	}
	if !strings.Contains(words[0], "/") {
		k, err := kindOf(words[0])
		if err != nil {
			return nil, nil, orName(err, words[0])
		}
		var keys []meta.Key
		for _, name := range words[1:] {
			if strings.Contains(name, "/") {
				return nil, nil, usagef("%q after a kind; write %s NAME... or KIND/NAME...", name, words[0])
			}
			keys = append(keys, meta.Key{Kind: k.Name, Name: name})
		}
		return k, keys, nil
	}
	var keys []meta.Key
	for _, w := range words {
		key, err := keyOf(w)
		if err != nil {
			return nil, nil, err
		}
		keys = append(keys, key)
	}
	return nil, keys, nil
}

// keyOf reads KIND/NAME.
func keyOf(word string) (meta.Key, error) {
	kind, name, ok := strings.Cut(word, "/")
	if !ok || kind == "" || name == "" || strings.Contains(name, "/") {
		like := "service/web"
		if !ok {
			like = slashed(word)
		}
		return meta.Key{}, usagef("%q names nothing; write KIND/NAME like %s", word, like)
	}
	k, err := kindOf(kind)
	if err != nil {
		return meta.Key{}, err
	}
	return meta.Key{Kind: k.Name, Name: name}, nil
}

// slashed makes KIND/NAME of a word that may be a name.
func slashed(word string) string {
	_, err := kindOf(word)
	switch {
	case err == nil || meta.CheckName(word) != "" && !strings.Contains(word, "/"):
		return "service/web"
	case strings.Contains(word, "/"):
		return word
	}
	return "service/" + word
}

// orName adds to an unknown kind that it may be a name.
func orName(err error, word string) error {
	var e *exit
	if errors.As(err, &e) && e.try != "" || strings.Contains(err.Error(), "did you mean") || meta.CheckName(word) != "" {
		return err
	}
	return try(err, "KIND/NAME, such as service/%s", word)
}
