package manifest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"warren.io/warren/apis/meta"
)

// Status is how the directory that is followed stands now.
type Status struct {
	Dir string
	// Objects is how many it holds; of the last good state when Err is set.
	Objects int
	// Err is what keeps it from being applied: *Problems with files and lines, ErrEmpty, or the error of the store.
	Err error
	// Retry is when the store is asked again; zero if only a change of the directory can help.
	Retry time.Duration
}

// String is the status line.
func (s Status) String() string {
	switch {
	case s.Err == nil:
		if s.Objects == 1 {
			return s.Dir + ": 1 object applied"
		}
		return fmt.Sprintf("%s: %d objects applied", s.Dir, s.Objects)
	case s.Retry > 0:
		return fmt.Sprintf("%s: not applied, trying again in %s: %v", s.Dir, s.Retry, s.Err)
	}
	return fmt.Sprintf("%s: not applied, nothing is changed: %v", s.Dir, s.Err)
}

// Pace is how a Follower waits. The zero value is right outside of tests.
type Pace struct {
	// Quiet is how long nothing may have changed before the directory is read. Default 200ms.
	Quiet time.Duration
	// Settle is how much longer to wait before something less than before is believed: writing may go on. Default 2s.
	Settle time.Duration
	// Retry is the first wait after the store refused; it doubles up to a minute. Default 1s.
	Retry time.Duration
}

func (p Pace) orDefault() Pace {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&p.Quiet, 200*time.Millisecond)
	set(&p.Settle, 2*time.Second)
	set(&p.Retry, time.Second)
	return p
}

// maxRetry bounds the wait after a store that refuses.
const maxRetry = time.Minute

// Follower keeps a store at what a directory says.
type Follower struct {
	Dir string
	// Apply is called with all objects of the directory at the start and when something in it was written, also if that was
	// the same as before: who saves a file wants what it says. It is never called for a directory that
	// is missing, unreadable, empty or has any mistake: then what was applied last stays.
	Apply func(context.Context, []meta.Object) error
	// Report is called when the status is another than before.
	Report func(Status)
	Pace   Pace

	good    map[meta.Key]string // the last objects that were applied, as JSON
	applied bool
	last    string // the last status that was reported
}

// Follow keeps applying a directory until ctx ends: at once, then on every change. It watches and does not poll.
func Follow(ctx context.Context, dir string, apply func(context.Context, []meta.Object) error, report func(Status)) error {
	f := &Follower{Dir: dir, Apply: apply, Report: report}
	return f.Run(ctx)
}

// Run follows until ctx ends, and returns its error.
func (f *Follower) Run(ctx context.Context) error {
	w, err := newWatch(f.Dir)
	if err != nil {
		return fmt.Errorf("follow %s: %w", f.Dir, err)
	}
	defer w.close()
	pace, retry := f.Pace.orDefault(), time.Duration(0)
	for ctx.Err() == nil {
		again := f.look(ctx, w, pace, retry)
		if retry = again; retry == 0 {
			w.wait(ctx, 0)
		} else if w.wait(ctx, retry) {
			retry = 0
		}
		w.quiet(ctx, pace.Quiet)
	}
	return ctx.Err()
}

// look reads the directory once, applies what is new, and returns when to try again: 0 means on the next change.
func (f *Follower) look(ctx context.Context, w *watch, pace Pace, retried time.Duration) time.Duration {
	w.renew() // before reading, so that no later change is missed
	docs, err := f.read(ctx, w, pace)
	if ctx.Err() != nil {
		return 0
	}
	if err != nil {
		f.report(Status{Dir: f.Dir, Objects: len(f.good), Err: err})
		return 0
	}
	now := texts(docs)
	if err := f.Apply(ctx, Objects(docs)); err != nil {
		if ctx.Err() != nil {
			return 0
		}
		again := min(max(pace.Retry, 2*retried), maxRetry)
		if errors.Is(err, ErrTooMuch) {
			again = maxRetry // somebody has to decide; that takes its time
		}
		f.report(Status{Dir: f.Dir, Objects: len(f.good), Err: err, Retry: again})
		return again
	}
	f.good, f.applied = now, true
	f.report(Status{Dir: f.Dir, Objects: len(now)})
	return 0
}

// settles bounds how often a doubtful state is looked at again before it is believed.
const settles = 10

// read returns the objects of the directory. Whatever looks like the middle of somebody's writing, since it is less than
// before or breaks off, is read again until it stays the same for a while.
func (f *Follower) read(ctx context.Context, w *watch, pace Pace) ([]Document, error) {
	docs, err := readDir(f.Dir)
	for range settles {
		if err != nil || !f.doubtful(docs, pace) || !w.wait(ctx, pace.Settle) {
			break
		}
		w.quiet(ctx, pace.Quiet)
		w.renew()
		docs, err = readDir(f.Dir)
	}
	return docs, err
}

func readDir(dir string) ([]Document, error) {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", dir, cause(err))
	case !info.IsDir():
		return nil, fmt.Errorf("%s: is no directory", dir)
	}
	return Read(strings.NewReader(""), dir)
}

// doubtful tells whether the objects may be a part of what somebody is about to write.
func (f *Follower) doubtful(docs []Document, pace Pace) bool {
	now, seen := texts(docs), map[string]bool{}
	if same(f.good, now) {
		return false
	}
	for key := range f.good {
		if now[key] == "" {
			return true
		}
	}
	for _, d := range docs {
		if !seen[d.File] && (breaksOff(d.File) || !f.applied && fresh(d.File, pace.Settle)) {
			return true
		}
		seen[d.File] = true
	}
	return false
}

// fresh tells whether a file was written just now: at the start nobody knows what it held before.
func fresh(file string, age time.Duration) bool {
	info, err := os.Stat(file)
	return err == nil && time.Since(info.ModTime()).Abs() < age
}

// breaksOff tells whether a file does not end with a line break, as half-written ones seldom do.
func breaksOff(file string) bool {
	data, err := os.ReadFile(file)
	return err == nil && len(data) > 0 && data[len(data)-1] != '\n'
}

func texts(docs []Document) map[meta.Key]string {
	out := map[meta.Key]string{}
	for _, d := range docs {
		data, _ := meta.Encode(d.Object) // what was decoded can be encoded
		out[d.Object.Key()] = string(data)
	}
	return out
}

func same(a, b map[meta.Key]string) bool {
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return len(a) == len(b)
}

func (f *Follower) report(s Status) {
	if text := s.String(); text != f.last {
		f.last = text
		if f.Report != nil {
			f.Report(s)
		}
	}
}

// IsProblem tells whether an error lies in the files, and not in the store.
func IsProblem(err error) bool {
	var p *Problems
	return errors.As(err, &p) || errors.Is(err, ErrEmpty)
}
