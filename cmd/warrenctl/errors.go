package warrenctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/manifest"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

// Exit codes.
const (
	codeDone        = 0
	codeFailed      = 1
	codeUsage       = 2   // the command line is wrong
	codeNo          = 3   // the answer is no: diff found changes
	codeLate        = 4   // not in time
	codeInterrupted = 130 // Ctrl-C
)

// exit is an error with its own exit code and, where there is one, the next step. Without an error it is the code alone.
type exit struct {
	error
	code int
	try  string
}

func (e *exit) Error() string {
	if e.error == nil {
		return ""
	}
	return e.error.Error()
}

func (e *exit) Unwrap() error { return e.error }

func usagef(format string, args ...any) error {
	return &exit{error: fmt.Errorf(format, args...), code: codeUsage}
}

// try adds the next step to an error.
func try(err error, format string, args ...any) error {
	e := &exit{error: err, code: codeFailed, try: fmt.Sprintf(format, args...)}
	if was := (*exit)(nil); errors.As(err, &was) {
		e.code = was.code
	}
	return e
}

// notFound says in people's words that something is not there.
func notFound(key meta.Key) error {
	k, plural := strings.ToLower(key.Kind), strings.ToLower(key.Kind)+"s"
	return try(fmt.Errorf("%s %q: %w", k, key.Name, store.ErrNotFound), "warrenctl get %s", plural)
}

// about puts the words of people into the errors of a store about one object.
func about(key meta.Key, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return notFound(key)
	}
	return err
}

// explain prints an error, with what to do next, and returns the exit code.
func (p *program) explain(err error) int {
	if err == nil {
		return codeDone
	}
	e := &exit{error: err, code: codeFailed}
	errors.As(err, &e)
	if e.error == nil {
		return e.code
	}
	var wrong *manifest.Problems
	if errors.As(err, &wrong) {
		// Each line begins with its place, so that editors find it.
		p.note("%v", wrong)
		if n := len(wrong.List) + wrong.More; n == 1 {
			p.note("warrenctl: 1 problem; nothing was done")
		} else {
			p.note("warrenctl: %d problems; nothing was done", n)
		}
		if e.try != "" {
			p.note("try: %s", e.try)
		}
		return e.code
	}
	p.note("warrenctl: %s", strings.ReplaceAll(err.Error(), "\n", "\n  "))
	if e.try == "" {
		e.try = nextStep(err)
	}
	if e.try != "" {
		p.note("try: %s", e.try)
	}
	return e.code
}

// nextStep knows what helps against errors that any verb may meet.
func nextStep(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission) && errors.Is(err, store.ErrUnavailable):
		return asRoot
	case errors.Is(err, store.ErrUnavailable) && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ECONNREFUSED)):
		return "sudo warren run, or name another node with --server or WARREN_SERVER"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "another node, with --server or WARREN_SERVER"
	case errors.Is(err, grpcstore.ErrSilent):
		return "journalctl -u warren on that node"
	case errors.Is(err, grpcstore.ErrKeys):
		return keysHelp
	case errors.Is(err, store.ErrConflict):
		return "the same again: it was changed by somebody else meanwhile"
	}
	return ""
}

// asRoot is for those who lack permission.
const asRoot = "sudo warrenctl ..."

// keysHelp says how to come by what another machine demands.
const keysHelp = "--keys DIR, with a copy of ca.crt, admin.crt and admin.key of that node, as it made them in DATA_DIR/keys"

// silentNode is a node that is there but does not answer.
type silentNode string

func noAnswer(target string) error { return silentNode(target) }

func (n silentNode) Error() string { return fmt.Sprintf("warren at %s does not answer", string(n)) }

func (n silentNode) Unwrap() []error { return []error{store.ErrUnavailable, grpcstore.ErrSilent} }

// unexpected makes one line of a mistake of this program itself: where and what, for those who can mend it.
func (p *program) unexpected(code *int) {
	x := recover()
	if x == nil {
		return
	}
	place := "?"
	frames := runtime.CallersFrames(callers())
	for more, below := true, false; more; {
		var f runtime.Frame
		f, more = frames.Next()
		if below && !strings.HasPrefix(f.Function, "runtime.") {
			place = fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line)
			break
		}
		below = below || f.Function == "runtime.gopanic"
	}
	p.note("warrenctl: mistake in this program, at %s: %s", place, clean(fmt.Sprint(x)))
	p.note("try: another way, and please report this line, the command and what warrenctl version prints")
	*code = codeFailed
}

func callers() []uintptr {
	pc := make([]uintptr, 64)
	return pc[:runtime.Callers(3, pc)]
}

// late tells whether an error is the end of a wait, and not of the whole command.
func late(ctx, timed context.Context, err error) bool {
	return ctx.Err() == nil && (timed.Err() != nil || errors.Is(err, context.DeadlineExceeded))
}

// isTerminal tells whether a stream is one that people watch.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
