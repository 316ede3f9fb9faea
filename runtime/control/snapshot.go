package control

import (
	"slices"

	"github.com/google/btree"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
)

// Snapshot is the store at one revision: immutable, in memory, indexed. Reading it cannot fail. What it returns is shared and
// must not be changed.
type Snapshot struct {
	Revision store.Revision
	kinds    meta.Kinds
	objects  *btree.BTreeG[meta.Object]
	index    *btree.BTreeG[entry]
}

// entry is one way to an object; entries order by kind, index, value, name.
type entry struct {
	kind, index, value, name string
	object                   meta.Object
}

func entryLess(a, b entry) bool {
	switch {
	case a.kind != b.kind:
		return a.kind < b.kind
	case a.index != b.index:
		return a.index < b.index
	case a.value != b.value:
		return a.value < b.value
	}
	return a.name < b.name
}

func objectLess(a, b meta.Object) bool { return meta.Less(a.Key(), b.Key()) }

// byOwner is an index that all kinds have: dependents by their owner's kind, name and uid.
const byOwner = "\x00owner"

// degree of the trees: each commit copies the way to what it changes, so small nodes are cheaper than the fastest to read.
const degree = 8

// NewSnapshot makes a snapshot of a list.
func NewSnapshot(kinds meta.Kinds, objects []meta.Object, rev store.Revision) *Snapshot {
	s := &Snapshot{Revision: rev, kinds: kinds, objects: btree.NewG(degree, objectLess), index: btree.NewG(degree, entryLess)}
	for _, o := range objects {
		s.put(o)
	}
	return s
}

// With returns the snapshot after one more commit; the old one stays as it was.
func (s *Snapshot) With(b store.Batch) *Snapshot {
	next := &Snapshot{Revision: b.Revision, kinds: s.kinds, objects: s.objects.Clone(), index: s.index.Clone()}
	for _, c := range b.Changes {
		if c.Object == nil {
			next.drop(c.Key)
		} else {
			next.put(c.Object)
		}
	}
	return next
}

func (s *Snapshot) put(o meta.Object) {
	old, had := s.objects.ReplaceOrInsert(o)
	entries := s.entries(o)
	if had {
		s.unindex(old, entries)
	}
	for _, e := range entries {
		s.index.ReplaceOrInsert(e)
	}
}

func (s *Snapshot) drop(k meta.Key) {
	if old, had := s.objects.Delete(meta.Probe(k)); had {
		s.unindex(old, nil)
	}
}

// unindex removes what led to an object, but for what will be replaced anyway.
func (s *Snapshot) unindex(o meta.Object, replaced []entry) {
	for _, e := range s.entries(o) {
		if !slices.ContainsFunc(replaced, func(r entry) bool { return !entryLess(e, r) && !entryLess(r, e) }) {
			s.index.Delete(e)
		}
	}
}

func (s *Snapshot) entries(o meta.Object) []entry {
	key := o.Key()
	var out []entry
	if k, ok := s.kinds.ByName(key.Kind); ok && k.Index != nil {
		for _, e := range k.Index(o) {
			out = append(out, entry{key.Kind, e.Index, e.Value, key.Name, o})
		}
	}
	if w := o.Meta().Owner; w != (meta.Owner{}) {
		out = append(out, entry{"", byOwner, ownerKey(w), key.String(), o})
	}
	return out
}

// Get returns one object.
func (s *Snapshot) Get(k meta.Key) (meta.Object, bool) { return s.objects.Get(meta.Probe(k)) }

// Each calls f for all objects of a kind in order of name, until f returns false.
func (s *Snapshot) Each(kind string, f func(meta.Object) bool) {
	s.objects.AscendGreaterOrEqual(meta.Probe(meta.Key{Kind: kind}), func(o meta.Object) bool {
		return o.Key().Kind == kind && f(o)
	})
}

// All calls f for every object in order of kind and name.
func (s *Snapshot) All(f func(meta.Object)) {
	s.objects.Ascend(func(o meta.Object) bool { f(o); return true })
}

// Where calls f for all objects of a kind that an index finds under a value, in order of name.
func (s *Snapshot) Where(kind, index, value string, f func(meta.Object)) {
	from := entry{kind: kind, index: index, value: value}
	s.index.AscendGreaterOrEqual(from, func(e entry) bool {
		if e.kind != kind || e.index != index || e.value != value {
			return false
		}
		f(e.object)
		return true
	})
}
