package storetest

import (
	"errors"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// conflict demands a ConflictError with these fields.
func (s *suite) conflict(key meta.Key, want, have store.Revision, ops ...store.Op) {
	s.Helper()
	var c *store.ConflictError
	if err := s.refuse(store.ErrConflict, ops...); !errors.As(err, &c) {
		s.Fatalf("got %T, want a ConflictError", err)
	}
	if c.Key != key || c.Want != want || c.Have != have {
		s.Fatalf("conflict on %s, want %d have %d; should be %s, %d, %d", c.Key, c.Want, c.Have, key, want, have)
	}
}

func (s *suite) guardAbsent() {
	rev := s.commit(store.CreateOp(service("web")))
	key := keyOf("Service", "web")
	s.conflict(key, store.Absent, rev, store.CreateOp(service("web")))
	s.commit(store.DeleteOp(s.get(key)))
	s.missing(key)
	s.commit(store.CreateOp(service("web")))
}

func (s *suite) guardRevision() {
	key := keyOf("Service", "web")
	old := service("web")
	old.Meta().Revision = 12345
	s.conflict(key, 12345, store.Absent, store.UpdateOp(old))

	first := s.commit(store.CreateOp(service("web")))
	o := s.get(key).Clone().(*v1.Service)
	o.Spec.Image = "hello:2"
	second := s.commit(store.UpdateOp(o))
	s.conflict(key, first, second, store.UpdateOp(o))
	s.conflict(key, first, second, store.DeleteOp(o))
	if got := s.get(key).(*v1.Service).Spec.Image; got != "hello:2" {
		s.Fatalf("image is %s", got)
	}
	s.commit(store.DeleteOp(s.get(key)))
	s.conflict(key, second, store.Absent, store.Op{Verb: store.Delete, Key: key, Guard: second})
}

func (s *suite) guardAny() {
	key := keyOf("Service", "web")
	put := store.Op{Verb: store.Put, Key: key, Object: service("web"), Guard: store.Any}
	made := s.commit(put)
	s.commit(put)
	if uid := s.get(key).Meta().UID; uid != made {
		s.Fatalf("uid is %d after an overwrite, want %d", uid, made)
	}
	remove := store.Op{Verb: store.Delete, Key: key, Guard: store.Any}
	s.commit(remove)
	s.missing(key)
	s.commit(remove) // nothing there: no error
}

func (s *suite) check() {
	web := s.commit(store.CreateOp(service("web")))
	key, other := keyOf("Service", "web"), keyOf("Service", "other")
	at := store.Op{Verb: store.Check, Key: key, Guard: web}
	absent := store.Op{Verb: store.Check, Key: other, Guard: store.Absent}
	s.commit(at, absent)
	s.commit(at, absent, store.CreateOp(task("t", "")))
	if s.get(key).Meta().Revision != web {
		s.Fatal("a check changed its object")
	}
	now := s.commit(store.CreateOp(service("other")))
	s.conflict(other, store.Absent, now, at, absent, store.CreateOp(task("u", "")))
	s.missing(keyOf("Task", "u"))
	changed := s.commit(store.UpdateOp(s.get(key)))
	s.conflict(key, web, changed, at)
}

func (s *suite) allOrNothing() {
	s.commit(store.CreateOp(service("web")), store.CreateOp(service("gone")), store.CreateOp(service("taken")))
	before, rev := s.list()
	gone := s.get(keyOf("Service", "gone"))
	s.refuse(store.ErrConflict,
		store.UpdateOp(s.get(keyOf("Service", "web"))),
		store.DeleteOp(gone),
		store.CreateOp(task("t", "")),
		store.CreateOp(service("taken")))
	after, now := s.list()
	if now != rev {
		s.Fatalf("a refused commit moved the revision from %d to %d", rev, now)
	}
	if err := same(after, before); err != nil {
		s.Fatal(err)
	}
}

// conflictNamesTheKey: of many operations exactly the one that does not hold is named, wherever it stands.
func (s *suite) conflictNamesTheKey() {
	rev := s.commit(store.CreateOp(service("taken")))
	for at := range 5 {
		var ops []store.Op
		for i := range 5 {
			name := string(rune('a' + i))
			if i == at {
				name = "taken"
			}
			ops = append(ops, store.CreateOp(service(name)))
		}
		s.conflict(keyOf("Service", "taken"), store.Absent, rev, ops...)
	}
}
