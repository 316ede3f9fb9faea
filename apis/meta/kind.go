package meta

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
)

// Kind describes one kind of resource to all generic code.
type Kind struct {
	Name    string   // Service
	Plural  string   // services
	Short   []string // svc
	New     func() Object
	Columns []Column
	// Index returns what a snapshot shall find this object by, beside its key; nil when by nothing.
	Index func(Object) []IndexEntry
	// UserWrites tells whether people may create, change and delete this kind, UserUpdates whether they may change what is
	// there, UserDeletes whether they may delete it; all else is written by controllers.
	UserWrites, UserUpdates, UserDeletes bool
	// Fixed, where set, finds what a person's change of an object touches that stays as it is for life.
	Fixed func(old, new Object, p *Problems)
	// Removable, where set, says why a person may not remove an object as it is now; "" where he may.
	Removable func(Object) string
	// Home, where set, is what the holders of an object's finalizers live on; the zero key for nothing. When that is gone they
	// are, too.
	Home func(Object) Key
	// Sort, where set, is the order in which a list is shown; default is by name.
	Sort func(a, b Object) bool
}

// Column is one column of a table.
type Column struct {
	Name  string
	Wide  bool // shown with -o wide only
	Value func(o Object, now Clock) string
}

// IndexEntry is one way to find an object: its node is "n1".
type IndexEntry struct{ Index, Value string }

// Written tells whether people write this kind: all of it, or what the system made.
func (k *Kind) Written() bool { return k.UserWrites || k.UserUpdates }

// Define makes the description of a kind whose resources are Resource[S, T].
func Define[S, T any](k Kind) *Kind {
	k.New = func() Object {
		r := &Resource[S, T]{}
		r.setType("")
		return r
	}
	k.Name = k.New().Key().Kind
	if k.Plural == "" {
		k.Plural = strings.ToLower(k.Name) + "s"
	}
	return &k
}

// Kinds are all kinds that a program knows, in the order in which they are shown.
type Kinds []*Kind

// ByName finds a kind by its exact name.
func (ks Kinds) ByName(name string) (*Kind, bool) {
	for _, k := range ks {
		if k.Name == name {
			return k, true
		}
	}
	return nil, false
}

// Find finds a kind by what a person types: Service, service, services, svc.
func (ks Kinds) Find(word string) (*Kind, error) {
	w := strings.ToLower(word)
	var all []string
	for _, k := range ks {
		names := append([]string{strings.ToLower(k.Name), k.Plural}, k.Short...)
		for _, n := range names {
			if n == w {
				return k, nil
			}
		}
		all = append(all, k.Plural)
	}
	sort.Strings(all)
	if s := Suggest(w, all); s != "" {
		return nil, fmt.Errorf("unknown kind %q; did you mean %q?", word, s)
	}
	return nil, fmt.Errorf("unknown kind %q; there are %s", word, strings.Join(all, ", "))
}

// Decode reads one object leniently: unknown fields are dropped. For data that this program or a newer one wrote.
func (ks Kinds) Decode(data []byte) (Object, error) {
	var t TypeMeta
	if err := json.Unmarshal(data, &t); err != nil {
		return nil, fmt.Errorf("decode object: %w", err)
	}
	k, ok := ks.ByName(t.Kind)
	if !ok {
		return nil, fmt.Errorf("decode object: unknown kind %q", t.Kind)
	}
	o := k.New()
	if err := json.Unmarshal(data, o); err != nil {
		return nil, fmt.Errorf("decode %s: %w", t.Kind, err)
	}
	return o, nil
}

// Encode writes an object as JSON.
func Encode(o Object) ([]byte, error) {
	data, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", o.Key(), err)
	}
	return data, nil
}

// Less orders keys by kind, then name.
func Less(a, b Key) bool {
	if a.Kind != b.Kind {
		return a.Kind < b.Kind
	}
	return a.Name < b.Name
}
