package grpcstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"warren.io/warren/runtime/server/api"
	"warren.io/warren/runtime/store"
)

// ErrUnavailable is the class of all errors that say that nobody answers, the store's own among them.
var ErrUnavailable = store.ErrUnavailable

// unreachable is an ErrUnavailable in words for people.
type unreachable struct {
	text  string
	cause error
}

func (e *unreachable) Error() string   { return e.text }
func (e *unreachable) Unwrap() []error { return []error{ErrUnavailable, e.cause} }

// explain turns the error of a call into one that says what happened: the error of the other side as it was there, or what
// is wrong with the connection.
func (c *Conn) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if theirs, ok := api.FromStatus(err); ok {
		return theirs
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if all := (*unreachable)(nil); errors.As(err, &all) {
		return all
	}
	switch status.Code(err) {
	case codes.Unavailable:
		return c.unreachable(err)
	case codes.ResourceExhausted:
		return fmt.Errorf("%s: %w", status.Convert(err).Message(), store.ErrTooLarge)
	case codes.Unimplemented:
		return fmt.Errorf("%s is not a warren of this version (%s): %w", c.target, status.Convert(err).Message(), api.ErrNotServed)
	case codes.Canceled:
		return &unreachable{text: fmt.Sprintf("the connection to warren at %s was closed", c.target), cause: err}
	case codes.DeadlineExceeded:
		return fmt.Errorf("warren at %s did not answer in time: %w", c.target, context.DeadlineExceeded)
	}
	if errors.Is(err, io.EOF) {
		return c.unreachable(err)
	}
	return fmt.Errorf("call warren at %s: %w", c.target, err)
}

func (c *Conn) unreachable(err error) error {
	cause := err
	if p := c.broken.Load(); p != nil {
		cause = *p
	}
	text := fmt.Sprintf("cannot reach warren at %s: ", c.target)
	means, class := reason(cause.Error())
	if class != nil {
		cause = errors.Join(class, cause)
	}
	switch {
	case errors.Is(cause, fs.ErrNotExist), errors.Is(cause, syscall.ENOTDIR):
		text += "is it running? there is no such socket"
	case errors.Is(cause, syscall.ECONNREFUSED):
		text += "is it running? nobody listens there"
	case errors.Is(cause, fs.ErrPermission):
		text += "permission denied; run this as root or as a member of the group warren"
	case means != "":
		text += means
	case c.broken.Load() != nil:
		text += cause.Error()
	default:
		text = fmt.Sprintf("lost the connection to warren at %s: %s", c.target, innermost(status.Convert(err).Message()))
	}
	return &unreachable{text: text, cause: cause}
}
