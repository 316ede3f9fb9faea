package api

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/store"
)

func TestErrorsKeepWordsAndIdentity(t *testing.T) {
	key := meta.Key{Kind: "Service", Name: "web"}
	tests := []struct {
		err  error
		is   []error
		code codes.Code
	}{
		{store.ErrNotFound, []error{store.ErrNotFound}, codes.NotFound},
		{fmt.Errorf("%s: %w", key, store.ErrNotFound), []error{store.ErrNotFound}, codes.NotFound},
		{store.ErrCompacted, []error{store.ErrCompacted}, codes.OutOfRange},
		{fmt.Errorf("commit: %w: %w", store.ErrUnknown, store.ErrUnavailable), []error{store.ErrUnknown, store.ErrUnavailable}, codes.Unknown},
		{store.ErrFenced, []error{store.ErrFenced}, codes.FailedPrecondition},
		{store.ErrTooLarge, []error{store.ErrTooLarge}, codes.ResourceExhausted},
		{store.ErrNoSpace, []error{store.ErrNoSpace}, codes.ResourceExhausted},
		{store.ErrUnavailable, []error{store.ErrUnavailable}, codes.Unavailable},
		{store.ErrForbidden, []error{store.ErrForbidden}, codes.PermissionDenied},
		{store.ErrConflict, []error{store.ErrConflict}, codes.Aborted},
		{&store.ConflictError{Key: key, Want: 3, Have: 4}, []error{store.ErrConflict}, codes.Aborted},
		{&store.ConflictError{Key: key, Want: store.Absent, Have: 4}, []error{store.ErrConflict}, codes.AlreadyExists},
		{fmt.Errorf("image: %w", host.ErrNotFound), []error{host.ErrNotFound}, codes.NotFound},
		{host.ErrNotReady, []error{host.ErrNotReady}, codes.Unavailable},
		{Invalid("no %s", "good"), []error{ErrInvalid}, codes.InvalidArgument},
		{fmt.Errorf("logs: %w", ErrNotServed), []error{ErrNotServed}, codes.Unimplemented},
		{context.Canceled, []error{context.Canceled}, codes.Canceled},
		{context.DeadlineExceeded, []error{context.DeadlineExceeded}, codes.DeadlineExceeded},
		{errors.New("anything else"), nil, codes.Internal},
	}
	for _, x := range tests {
		sent := ToStatus(x.err)
		if c := status.Code(sent); c != x.code {
			t.Errorf("%v: code %v, want %v", x.err, c, x.code)
		}
		got, ours := FromStatus(sent)
		if !ours || got.Error() != x.err.Error() {
			t.Errorf("%v: came back as %v", x.err, got)
		}
		for _, target := range x.is {
			if !errors.Is(got, target) {
				t.Errorf("%v: came back without being %v", x.err, target)
			}
		}
		for _, c := range classes {
			if errors.Is(got, c.err) != errors.Is(x.err, c.err) {
				t.Errorf("%v: is %v differs after the journey", x.err, c.err)
			}
		}
	}
}

func TestSentinelsComeBackAsThemselves(t *testing.T) {
	for _, c := range classes {
		if got, _ := FromStatus(ToStatus(c.err)); got != c.err {
			t.Errorf("%v came back as %T", c.err, got)
		}
	}
}

func TestConflictKeepsItsFields(t *testing.T) {
	in := &store.ConflictError{Key: meta.Key{Kind: "Task", Name: "web-1"}, Want: 7, Have: -1}
	got, _ := FromStatus(ToStatus(fmt.Errorf("commit: %w", in)))
	var out *store.ConflictError
	if !errors.As(got, &out) || *out != *in {
		t.Fatalf("got %#v from %v", out, got)
	}
}

func TestAllProblemsOfAllObjectsArrive(t *testing.T) {
	one := &store.InvalidError{Key: meta.Key{Kind: "Service", Name: "a"}}
	one.Add("spec.image", "is required")
	one.Add("spec.mode", "%q is not allowed", "x\xff")
	two := &store.InvalidError{Key: meta.Key{Kind: "Service", Name: "b"}}
	two.Add("metadata.name", "is required")
	alone := &meta.Problems{}
	alone.Add("spec", "is missing")
	got, _ := FromStatus(ToStatus(errors.Join(one, two, fmt.Errorf("file: %w", alone))))

	list := InvalidErrors(got)
	if len(list) != 2 || len(list[0].List) != 2 || len(list[1].List) != 1 {
		t.Fatalf("got %v", list)
	}
	if list[0].Key != one.Key || list[0].List[0] != one.List[0] || list[1].List[0] != two.List[0] {
		t.Fatalf("got %v", list)
	}
	if r := list[0].List[1].Reason; r != `"x\xff" is not allowed` {
		t.Fatalf("reason %s", r)
	}
	var p *meta.Problems
	if !errors.As(got, &p) || p.List[0] != alone.List[0] {
		t.Fatalf("problems without an object: %v", p)
	}
	if status.Code(ToStatus(one)) != codes.InvalidArgument {
		t.Fatal("code")
	}
}

func TestErrorsOfTheConnectionAreNotOurs(t *testing.T) {
	for _, err := range []error{status.Error(codes.Unavailable, "connection refused"), errors.New("plain")} {
		if _, ours := FromStatus(err); ours {
			t.Errorf("%v taken for a handler's", err)
		}
	}
	if ToStatus(nil) != nil {
		t.Error("nil became an error")
	}
}

func FuzzErrorDetail(f *testing.F) {
	f.Add("text", "NotFound", "Service", "web", int64(0), "spec", "why")
	f.Fuzz(func(t *testing.T, text, reason, kind, name string, rev int64, path, why string) {
		d := &ErrorDetail{Text: text, Reasons: []string{reason}, Conflict: &Conflict{Want: rev}, Invalid: []*InvalidObject{
			{Key: &Key{Kind: kind, Name: name}, Problems: []*Problem{{Path: path, Reason: why}, nil}}, nil}}
		if err := d.rebuild(); err.Error() == "" && text != "" {
			t.Fatal("words were lost")
		}
		if back, ok := FromStatus(ToStatus(errors.New(text))); !ok || back == nil {
			t.Fatal("not ours")
		}
	})
}
