package why

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/manifest"
	"warren.io/warren/runtime/store"
)

// Recorder remembers what people change: in a trace all of it, and in the store one event for each changed or deleted object,
// in the same commit, so that it outlives this process.
type Recorder struct {
	Trace *control.Trace
	// Event makes the object for a note, as for an engine.
	Event func(find func(meta.Key) (meta.Object, bool), source string, n control.Note, now time.Time) meta.Object
	Now   func() time.Time
	// Done, where set, is told of each object that somebody changed, after the commit. It must not block.
	Done func(Deed)
}

// Deed is one change of one object by somebody. Revision is 0 where the answer to the commit was lost.
type Deed struct {
	At       time.Time
	Author   string
	Revision store.Revision
	Verb     string
	Key      meta.Key
	Fields   []string // paths that changed, without values
}

// Over returns the store with a recorder in front. Commits without an author pass as they are.
func (r Recorder) Over(inner store.Store) store.Store { return &recorded{inner, r} }

type recorded struct {
	store.Store
	Recorder
}

// Source is what events say that told them about a person's change.
const Source = "api"

// maxTold bounds the events of one commit.
const maxTold = 20

// Commit implements store.Store.
func (r *recorded) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	author := store.Author(ctx)
	if author == "" {
		return r.Store.Commit(ctx, ops...)
	}
	d := control.Decision{Source: author, At: r.Now()}
	all := slices.Clone(ops)
	fields := map[meta.Key][]string{}
	for _, op := range ops {
		deed, ok, err := r.deed(ctx, op, fields)
		if err != nil {
			return 0, err
		}
		if !ok {
			continue
		}
		d.Deeds = append(d.Deeds, deed)
		if note, tell := told(author, deed); tell && len(all)-len(ops) < maxTold {
			e := r.Event(r.find(ctx), Source, note, d.At)
			all = append(all, store.Op{Verb: store.Put, Key: e.Key(), Object: e, Guard: store.Any})
		}
	}
	rev, err := r.Store.Commit(ctx, all...)
	if err == nil {
		d.Revision = rev
		r.Trace.Add(d)
	}
	if err == nil || errors.Is(err, store.ErrUnknown) {
		r.tellDone(d, fields)
	}
	return rev, err
}

func (r *recorded) tellDone(d control.Decision, fields map[meta.Key][]string) {
	if r.Done == nil {
		return
	}
	for _, deed := range d.Deeds {
		r.Done(Deed{At: d.At, Author: d.Source, Revision: d.Revision, Verb: string(deed.Done), Key: deed.Key, Fields: fields[deed.Key]})
	}
}

func (r *recorded) find(ctx context.Context) func(meta.Key) (meta.Object, bool) {
	return func(k meta.Key) (meta.Object, bool) {
		o, err := r.Store.Get(ctx, k)
		return o, err == nil
	}
}

// deed says what an operation will do, and to which fields; false if nothing that concerns people.
func (r *recorded) deed(ctx context.Context, op store.Op, fields map[meta.Key][]string) (control.Deed, bool, error) {
	d := control.Deed{Key: op.Key, Done: control.Created}
	if op.Verb == store.Check || op.Key.Kind == v1.EventKind.Name || op.Verb == store.Put && op.Guard == store.Absent {
		return d, op.Verb == store.Put && op.Guard == store.Absent, nil
	}
	old, err := r.Store.Get(ctx, op.Key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return d, op.Verb == store.Put, nil
	case err != nil:
		return d, false, err
	}
	if op.Verb == store.Delete || !op.Object.Meta().Deleted.IsZero() {
		d.Done = control.Deleted
		return d, old.Meta().Deleted.IsZero(), nil
	}
	changes := manifest.Changes(old, op.Object)
	for _, c := range changes {
		fields[op.Key] = append(fields[op.Key], c.Path)
	}
	d.Done, d.Because = control.Changed, fieldsOf(changes)
	return d, d.Because != "", nil
}

func told(author string, d control.Deed) (control.Note, bool) {
	n := control.Note{About: d.Key, Reason: "Changed", Message: author + ": " + d.Because}
	switch d.Done {
	case control.Created:
		return n, false // the object itself says when; a thousand new services are no thousand events
	case control.Deleted:
		n.Reason, n.Message = "Deleted", author+" deleted it"
	}
	return n, true
}

// Bounds of the words about a change.
const (
	maxFields = 4
	maxValue  = 40
)

// fieldsOf writes what differs in a few words. Variables of the environment may hold secrets: their values are left out.
func fieldsOf(changes []manifest.FieldChange) string {
	var words []string
	for i, c := range changes {
		if i == maxFields && len(changes) > maxFields+1 {
			words = append(words, fmt.Sprintf("and %d more fields", len(changes)-maxFields))
			break
		}
		words = append(words, fieldWords(c))
	}
	return strings.Join(words, ", ")
}

func fieldWords(c manifest.FieldChange) string {
	switch {
	case strings.HasSuffix(c.Path, "."+v1.RestartedAt):
		return "restart asked for"
	case strings.HasPrefix(c.Path, "spec.env") || len(c.From) > maxValue || len(c.To) > maxValue:
		return c.Path + " changed"
	case c.From == "":
		return fmt.Sprintf("%s set to %s", c.Path, c.To)
	case c.To == "":
		return c.Path + " removed"
	}
	return fmt.Sprintf("%s %s -> %s", c.Path, c.From, c.To)
}
