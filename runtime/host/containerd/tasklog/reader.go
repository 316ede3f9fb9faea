package tasklog

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Options choose what is read.
type Options struct {
	Follow bool
	Tail   int       // last n lines; < 0 means all
	Since  time.Time // zero means from the beginning
	Until  time.Time // lines of then and later are left out; zero means none is
}

// has tells whether a line of that time is wanted.
func (o Options) has(at time.Time) bool {
	return !at.Before(o.Since) && (o.Until.IsZero() || at.Before(o.Until))
}

// Notice is the stream of lines that no task wrote.
const Notice = "notice"

// missing is told where files were deleted before they could be read: a reader that is slower than the writer for long.
const missing = "the reader did not keep up with what the task writes: lines may be missing here"

// Read calls emit for each line in dir, oldest first, until the end, or with Follow until ctx ends or dir is removed.
// No line is read twice or left out when files are rotated meanwhile, unless they are deleted before they could be read.
func Read(ctx context.Context, dir string, o Options, emit func(Line) error) error {
	var changes *fsnotify.Watcher
	if o.Follow { // before the first look, so that nothing falls between the two
		w, err := watch(dir)
		if err != nil {
			return err
		}
		defer func() { _ = w.Close() }()
		changes = w
	}
	files, err := openAll(dir)
	if err != nil {
		return err
	}
	r := &reader{dir: dir, changes: changes, only: o, emit: emit}
	defer func() { closeAll(files) }()
	if o.Tail >= 0 {
		if files, r.skip, err = tail(files, o); err != nil {
			return err
		}
	}
	return r.run(ctx, files)
}

func watch(dir string) (*fsnotify.Watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	// The folder above tells when dir is removed. dir itself would not as long as we have a file of it open.
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := w.Add(d); err != nil {
			_ = w.Close()
			return nil, err
		}
	}
	return w, nil
}

// openAll opens the files of dir, oldest first. A rotation meanwhile shows a file under two names; it is opened once.
func openAll(dir string) ([]*os.File, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	var files []*os.File
	missing := 0
	for i := 0; missing < 2; i++ { // one may be missing for a moment: it is just being renamed
		f, err := os.Open(filepath.Join(dir, fileName(i)))
		if errors.Is(err, fs.ErrNotExist) {
			missing++
			continue
		}
		if err != nil {
			closeAll(files)
			return nil, err
		}
		if len(files) > 0 && same(files[0], f) {
			_ = f.Close()
			continue
		}
		files = append([]*os.File{f}, files...)
	}
	return files, nil
}

func same(a, b *os.File) bool {
	x, errX := a.Stat()
	y, errY := b.Stat()
	return errX == nil && errY == nil && os.SameFile(x, y)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// tail leaves the files that hold the last lines, and how many lines of the first of them to skip.
func tail(files []*os.File, o Options) ([]*os.File, int, error) {
	count, from := 0, len(files)
	for from > 0 && count < o.Tail {
		from--
		n, err := countLines(files[from], o)
		if err != nil {
			return files, 0, err
		}
		count += n
	}
	if o.Tail == 0 && len(files) > 0 { // only what comes
		from = len(files) - 1
		n, err := countLines(files[from], o)
		if err != nil {
			return files, 0, err
		}
		count = n
	}
	closeAll(files[:from])
	return files[from:], max(count-o.Tail, 0), nil
}

// countLines counts the whole lines that are wanted and leaves f at its start.
func countLines(f *os.File, o Options) (int, error) {
	n := 0
	b := bufio.NewReaderSize(f, maxBatch)
	for {
		text, err := b.ReadSlice('\n')
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
				return 0, err
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			_, err = f.Seek(0, io.SeekStart)
			return n, err
		}
		if rec, ok := parse(text); ok && rec.whole && o.has(rec.time) {
			n++
		}
	}
}

// reader goes through the files and joins records to lines.
type reader struct {
	dir     string
	changes *fsnotify.Watcher // nil: do not follow
	only    Options
	skip    int
	emit    func(Line) error
	parts   map[string][]byte // begun lines, by stream
	rest    []byte            // begun record, of a write that is under way
	buffer  *bufio.Reader     // kept, since a busy task wakes the reader hundreds of times a second
	gap     bool              // what was read last is not there any more, so what followed it may be gone too
}

// run reads files and then, if it follows, whatever comes after them.
func (r *reader) run(ctx context.Context, files []*os.File) error {
	var last *os.File
	for _, f := range files {
		last = f
		if err := r.drain(f); err != nil {
			return err
		}
	}
	if r.changes == nil {
		return nil
	}
	follow := last
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		next, err := r.next(ctx, follow)
		if err != nil || next == nil {
			return err
		}
		if follow != nil && follow != last {
			_ = follow.Close()
		}
		follow = next
		if r.gap {
			err = r.emit(Line{Time: time.Now().UTC(), Stream: Notice, Text: missing})
		}
		if err = errors.Join(err, r.drain(follow)); err != nil {
			_ = follow.Close()
			return err
		}
	}
}

// next reads on in f until a newer file follows it, which is returned opened. nil: the log was removed.
func (r *reader) next(ctx context.Context, f *os.File) (*os.File, error) {
	look := true
	for {
		var newer *os.File
		var gone bool
		if look {
			newer, gone = r.newer(f)
		}
		// If there is a newer file nothing is written to f any more, so what is read now is the end of it.
		if f != nil {
			if err := r.drain(f); err != nil {
				return nil, err
			}
		}
		if newer != nil || gone {
			r.rest = nil
			return newer, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case err := <-r.changes.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return nil, err
			}
			look = true
		case e := <-r.changes.Events:
			look = !e.Has(fsnotify.Write) || f == nil
		}
	}
}

// newer finds the file that was begun after f: the one numbered one below it. If f is not there any more, that is the
// oldest there is.
func (r *reader) newer(f *os.File) (next *os.File, gone bool) {
	if _, err := os.Stat(r.dir); errors.Is(err, fs.ErrNotExist) {
		return nil, true
	}
	files, err := openAll(r.dir)
	if err != nil {
		return nil, errors.Is(err, fs.ErrNotExist)
	}
	at := -1
	for i, x := range files {
		if f != nil && same(x, f) {
			at = i
		}
	}
	r.gap = f != nil && at < 0
	if at+1 < len(files) {
		next = files[at+1]
		files[at+1] = files[len(files)-1]
		files = files[:len(files)-1]
	}
	closeAll(files)
	return next, false
}

// drain reads what f has now.
func (r *reader) drain(f *os.File) error {
	if r.buffer == nil {
		r.buffer = bufio.NewReaderSize(nil, maxBatch)
	}
	r.buffer.Reset(f)
	for {
		text, err := r.buffer.ReadSlice('\n')
		if err != nil {
			r.rest = append(r.rest, text...)
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if len(r.rest) > 0 {
			text = append(r.rest, text...)
			r.rest = nil
		}
		if err := r.take(text); err != nil {
			return err
		}
	}
}
