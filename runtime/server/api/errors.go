package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/store"
)

// ErrInvalid is the class of requests that can never succeed as they are.
var ErrInvalid = errors.New("invalid request")

// ErrNotServed is the class of requests for something that this node does not have, for example images on a node without
// containers.
var ErrNotServed = errors.New("not served by this node")

// Invalid makes an error of class ErrInvalid that says only why.
func Invalid(format string, args ...any) error {
	return &remote{text: fmt.Sprintf(format, args...), causes: []error{ErrInvalid}}
}

// classes are the errors that keep their identity over the wire. Codes are for other programs: ours go by the name.
// The first that fits an error gives the code, so those that say most come first.
var classes = []struct {
	err  error
	name string
	code codes.Code
}{
	{ErrInvalid, "Invalid", codes.InvalidArgument},
	{ErrNotServed, "NotServed", codes.Unimplemented},
	{store.ErrUnknown, "Unknown", codes.Unknown},
	{store.ErrForbidden, "Forbidden", codes.PermissionDenied},
	{store.ErrNotFound, "NotFound", codes.NotFound},
	{store.ErrConflict, "Conflict", codes.Aborted},
	{store.ErrCompacted, "Compacted", codes.OutOfRange},
	{store.ErrFenced, "Fenced", codes.FailedPrecondition},
	{store.ErrTooLarge, "TooLarge", codes.ResourceExhausted},
	{store.ErrNoSpace, "NoSpace", codes.ResourceExhausted},
	{store.ErrUnavailable, "Unavailable", codes.Unavailable},
	{host.ErrNotFound, "HostNotFound", codes.NotFound},
	{host.ErrNotRunning, "HostNotRunning", codes.FailedPrecondition},
	{host.ErrNoCommand, "NoCommand", codes.NotFound},
	{host.ErrNoFile, "NoFile", codes.NotFound},
	{host.ErrReadOnly, "ReadOnly", codes.FailedPrecondition},
	{host.ErrNotReady, "HostNotReady", codes.Unavailable},
	{context.DeadlineExceeded, "DeadlineExceeded", codes.DeadlineExceeded},
	{context.Canceled, "Canceled", codes.Canceled},
}

// ToStatus turns any error into one that gRPC sends, with all that FromStatus needs to make the same of it again.
func ToStatus(err error) error {
	if err == nil {
		return nil
	}
	text := strings.ToValidUTF8(err.Error(), "?")
	d := &ErrorDetail{Text: text}
	code := describe(err, d)
	st, failed := status.New(code, text).WithDetails(d)
	if failed != nil {
		return status.Error(code, text)
	}
	return st.Err()
}

func describe(err error, d *ErrorDetail) codes.Code {
	code := codes.Internal
	for i := len(classes) - 1; i >= 0; i-- {
		if c := classes[i]; errors.Is(err, c.err) {
			d.Reasons = append(d.Reasons, c.name)
			code = c.code
		}
	}
	walk(err, func(e error) {
		switch e := e.(type) {
		case *store.ConflictError:
			d.Conflict = &Conflict{Key: ToKey(e.Key), Want: e.Want, Have: e.Have}
		case *store.InvalidError:
			d.Invalid = append(d.Invalid, toInvalid(ToKey(e.Key), e.Problems))
		case *meta.Problems:
			d.Invalid = append(d.Invalid, toInvalid(nil, *e))
		}
	})
	switch {
	case d.Invalid != nil:
		code = codes.InvalidArgument
	case d.Conflict != nil && d.Conflict.Want == store.Absent:
		code = codes.AlreadyExists
	}
	return code
}

func toInvalid(k *Key, p meta.Problems) *InvalidObject {
	out := &InvalidObject{Key: k}
	for _, x := range p.List {
		out.Problems = append(out.Problems, &Problem{Path: utf8(x.Path), Reason: utf8(x.Reason)})
	}
	return out
}

// InvalidErrors returns all the invalid objects that an error is about: a refused commit names every one.
func InvalidErrors(err error) []*store.InvalidError {
	var out []*store.InvalidError
	walk(err, func(e error) {
		if x, ok := e.(*store.InvalidError); ok {
			out = append(out, x)
		}
	})
	return out
}

// walk visits an error and all that it wraps, so that joined errors give all their problems.
func walk(err error, visit func(error)) {
	if err == nil {
		return
	}
	visit(err)
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		walk(e.Unwrap(), visit)
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			walk(inner, visit)
		}
	}
}

// FromStatus is the inverse of ToStatus. It answers false for errors that no handler made: those of the connection.
func FromStatus(err error) (error, bool) {
	st, ok := status.FromError(err)
	if !ok {
		return err, false
	}
	for _, any := range st.Details() {
		if d, ok := any.(*ErrorDetail); ok {
			return d.rebuild(), true
		}
	}
	return err, false
}

// rebuild returns the error itself where it was one of those that are known here, else one with the same words that is it.
func (d *ErrorDetail) rebuild() error {
	r := &remote{text: d.GetText()}
	for _, name := range d.GetReasons() {
		for _, c := range classes {
			if c.name == name && (c.err != store.ErrConflict || d.GetConflict() == nil) {
				r.causes = append(r.causes, c.err)
			}
		}
	}
	if c := d.GetConflict(); c != nil {
		r.causes = append(r.causes, &store.ConflictError{Key: c.GetKey().Meta(), Want: c.GetWant(), Have: c.GetHave()})
	}
	for _, x := range d.GetInvalid() {
		r.causes = append(r.causes, x.rebuild())
	}
	if len(r.causes) == 1 && r.causes[0].Error() == r.text {
		return r.causes[0]
	}
	return r
}

func (x *InvalidObject) rebuild() error {
	p := meta.Problems{}
	for _, y := range x.GetProblems() {
		p.List = append(p.List, meta.Problem{Path: y.GetPath(), Reason: y.GetReason()})
	}
	if x.GetKey() == nil {
		return &p
	}
	return &store.InvalidError{Key: x.GetKey().Meta(), Problems: p}
}

// remote is an error of the other side: its words, and what it is.
type remote struct {
	text   string
	causes []error
}

func (e *remote) Error() string   { return e.text }
func (e *remote) Unwrap() []error { return e.causes }

func utf8(s string) string { return strings.ToValidUTF8(s, "?") }

// ToKey makes a key for the wire.
func ToKey(k meta.Key) *Key { return &Key{Kind: utf8(k.Kind), Name: utf8(k.Name)} }

// Meta is the key as the rest of Warren knows it.
func (k *Key) Meta() meta.Key { return meta.Key{Kind: k.GetKind(), Name: k.GetName()} }
