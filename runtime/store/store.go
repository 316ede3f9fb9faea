// Package store is the ground that everything stands on: all resources at a revision, changed by atomic commits, watched
// from a revision on. It declares the interface, its values and errors; memstore and etcdstore implement it, storetest holds
// the one suite that both must pass, and the wrappers in this package (Admit, View) turn a Store into a narrower one.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"warren.io/warren/apis/meta"
)

// Revision counts commits. It grows by at least one with each and never goes back.
type Revision = int64

// Store holds resources. Objects that go in or come out are shared and must not be changed by anyone afterwards.
type Store interface {
	// Get returns the newest committed object, or ErrNotFound.
	Get(ctx context.Context, key meta.Key) (meta.Object, error)
	// List returns everything that this view may see, in order of kind and name, and the revision at which that was so.
	List(ctx context.Context) ([]meta.Object, Revision, error)
	// Watch delivers every commit after a revision, whole and in order. A Batch with Err is the last one: ErrCompacted
	// means List again, anything else means the link broke. The channel is closed after it, or when ctx ends.
	Watch(ctx context.Context, after Revision) <-chan Batch
	// Commit applies all operations or none, and returns the new revision. A guard that does not hold gives a
	// ConflictError; ErrUnknown means that nobody can say whether it was applied.
	Commit(ctx context.Context, ops ...Op) (Revision, error)
}

// Batch is what one commit changed, as far as this view may see it.
type Batch struct {
	Revision Revision
	Changes  []Change
	Err      error
}

// Change is one object after a commit; Object is nil when it is gone.
type Change struct {
	Key    meta.Key
	Object meta.Object
}

// Verb says what an operation does.
type Verb int

// The verbs.
const (
	Put    Verb = iota // write Object
	Delete             // remove Key
	Check              // change nothing, only demand the guard
)

// Guards that are not a revision.
const (
	Any    Revision = -1 // whatever is there
	Absent Revision = 0  // nothing may be there
)

// Op is one part of a commit. Guard is the revision of the object that the writer saw, or Any, or Absent.
type Op struct {
	Verb   Verb
	Key    meta.Key
	Object meta.Object
	Guard  Revision
}

// CreateOp writes an object that must not exist yet.
func CreateOp(o meta.Object) Op { return Op{Verb: Put, Key: o.Key(), Object: o, Guard: Absent} }

// UpdateOp writes an object over the revision that it carries.
func UpdateOp(o meta.Object) Op {
	return Op{Verb: Put, Key: o.Key(), Object: o, Guard: o.Meta().Revision}
}

// DeleteOp removes the object at the revision that it carries.
func DeleteOp(o meta.Object) Op {
	return Op{Verb: Delete, Key: o.Key(), Guard: o.Meta().Revision}
}

// Outcome is one commit that ended, for those who count.
type Outcome struct {
	Ops, Bytes int // writes and deletions; bytes of the objects as they are stored
	Took       time.Duration
	Err        error
}

// Bounds of every commit.
const (
	MaxOps    = 100       // written by one reconcile or one apply; an implementation takes a few more for events
	MaxObject = 256 << 10 // bytes of one object as JSON
)

// Errors of a Store. Use errors.Is.
var (
	ErrNotFound    = errors.New("not found")
	ErrConflict    = errors.New("conflict")
	ErrCompacted   = errors.New("revision is compacted")
	ErrUnavailable = errors.New("store is unavailable")
	ErrUnknown     = errors.New("outcome of the commit is unknown")
	ErrFenced      = errors.New("no longer the leader")
	ErrTooLarge    = errors.New("too large")
	ErrNoSpace     = errors.New("store is full")
)

// ConflictError names the key whose guard did not hold.
type ConflictError struct {
	Key        meta.Key
	Want, Have Revision // Have is 0 when nothing is there, -1 when unknown
}

func (e *ConflictError) Error() string {
	switch {
	case e.Want == Absent:
		return fmt.Sprintf("%s exists already", e.Key)
	case e.Have == Absent:
		return fmt.Sprintf("%s is gone", e.Key)
	}
	return fmt.Sprintf("%s was changed by somebody else meanwhile", e.Key)
}

// Is makes errors.Is(err, ErrConflict) true.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }
