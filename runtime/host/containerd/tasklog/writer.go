// Package tasklog writes and reads the output of one task: a directory of bounded files in the CRI line form
//
//	2026-01-02T15:04:05.000000000Z stdout F text
//
// where P instead of F means that the line goes on in the next record of the same stream. The newest records are in
// current.log; full files move to 1.log, 2.log and so on.
package tasklog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

const (
	current   = "current.log"
	stamp     = "2006-01-02T15:04:05.000000000Z07:00" // fixed width, always UTC
	maxRecord = 16 << 10                              // longer lines are split
	maxBatch  = 64 << 10                              // of formatted records in one write
)

// The bounds that are used where none are asked for.
const (
	DefaultMax  = 10 << 20
	DefaultKeep = 3
)

// Log is the writing end. Its methods never block on a full disk and never fail: what cannot be kept is counted, and the
// count is written as soon as there is room again. A process's output is worth less than the process.
type Log struct {
	dir  string
	max  int64
	keep int

	mu   sync.Mutex
	file *os.File // nil until the first record, and after a failure to open
	size int64    // of the whole records in file
	lost int      // records dropped since the last successful write
	why  error    // why the last one was dropped
	now  func() time.Time
	// write is (*os.File).Write, replaced by tests that need a full disk.
	write func(*os.File, []byte) (int, error)
}

// New returns the log in dir with keep files of at most max bytes each. Nothing is touched before the first record.
func New(dir string, max int64, keep int) *Log {
	if max <= 0 {
		max = DefaultMax
	}
	if keep <= 0 {
		keep = DefaultKeep
	}
	return &Log{dir: dir, max: max, keep: keep, now: time.Now, write: (*os.File).Write}
}

// Copy writes what it reads from r as records of stream until r ends. Several Copies may share a Log.
func (l *Log) Copy(stream string, r io.Reader) {
	c := copier{log: l, stream: stream, in: make([]byte, 2*maxRecord)}
	for {
		n, err := r.Read(c.in[c.held:])
		c.held += n
		if n > 0 {
			c.take()
		}
		if err != nil {
			c.end()
			return
		}
	}
}

// copier cuts one stream into records. in[:held] has been read and not been written.
type copier struct {
	log    *Log
	stream string
	in     []byte
	held   int
	out    []byte
	lines  int
	at     string
}

// take writes all whole lines that are held, and pieces of a line that is too long.
func (c *copier) take() {
	c.at = c.log.now().UTC().Format(stamp)
	rest := c.in[:c.held]
	for {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			break
		}
		c.line(rest[:i])
		rest = rest[i+1:]
	}
	for len(rest) >= maxRecord {
		c.record('P', rest[:maxRecord])
		rest = rest[maxRecord:]
	}
	c.held = copy(c.in, rest)
	c.flush()
}

// end writes an unfinished last line as if it were whole: nothing will follow it.
func (c *copier) end() {
	if c.held > 0 {
		c.at = c.log.now().UTC().Format(stamp)
		c.line(c.in[:c.held])
		c.held = 0
	}
	c.flush()
}

func (c *copier) line(text []byte) {
	for len(text) > maxRecord {
		c.record('P', text[:maxRecord])
		text = text[maxRecord:]
	}
	c.record('F', text)
}

func (c *copier) record(tag byte, text []byte) {
	c.out = append(c.out, c.at...)
	c.out = append(c.out, ' ')
	c.out = append(c.out, c.stream...)
	c.out = append(c.out, ' ', tag, ' ')
	c.out = append(c.out, text...)
	c.out = append(c.out, '\n')
	c.lines++
	if len(c.out) >= maxBatch {
		c.flush()
	}
}

func (c *copier) flush() {
	if c.lines > 0 {
		c.log.append(c.out, c.lines)
	}
	c.out, c.lines = c.out[:0], 0
}

// append writes whole records, over several files where one has not enough room.
func (l *Log) append(batch []byte, lines int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(batch) > 0 {
		if err := l.room(); err != nil {
			l.drop(lines, err)
			return
		}
		part := fitting(batch, l.max-l.size, l.size == 0)
		if len(part) == 0 {
			if err := l.rotate(); err != nil {
				l.drop(lines, err)
				return
			}
			continue
		}
		if err := l.put(part); err != nil {
			l.drop(lines, err)
			return
		}
		batch = batch[len(part):]
		if len(batch) > 0 {
			lines -= bytes.Count(part, []byte{'\n'})
		}
	}
}

// room makes sure that there is a file, and first tells about records that were lost.
func (l *Log) room() error {
	if l.file == nil {
		if err := l.open(); err != nil {
			return err
		}
	}
	if l.lost == 0 {
		return nil
	}
	notice := fmt.Sprintf("%s stderr F warren: %d lines of output were dropped: %v\n",
		l.now().UTC().Format(stamp), l.lost, l.why)
	if err := l.put([]byte(notice)); err != nil {
		return err
	}
	l.lost = 0
	return nil
}

func (l *Log) drop(lines int, err error) {
	l.lost += lines
	l.why = err
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		l.why = at.Err // the reader of a log need not know where it is
	}
}

// fitting returns as many whole records as fit into room. A fresh file takes at least one, however long.
func fitting(batch []byte, room int64, fresh bool) []byte {
	if int64(len(batch)) <= room {
		return batch
	}
	end := bytes.LastIndexByte(batch[:max(room, 0)], '\n') + 1
	if end == 0 && fresh {
		end = bytes.IndexByte(batch, '\n') + 1
	}
	return batch[:end]
}

// put writes whole records in one call. A part of a record that a full disk let through is cut off again.
func (l *Log) put(records []byte) error {
	n, err := l.write(l.file, records)
	if err == nil {
		l.size += int64(n)
		return nil
	}
	if cut := l.file.Truncate(l.size); cut != nil {
		l.close() // opening it again will repair the end
	}
	return err
}

// open appends to the newest file, whose last record a killed writer may have left unfinished.
func (l *Log) open() error {
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(l.dir, current), os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	size, err := repair(f)
	if err != nil {
		_ = f.Close()
		return err
	}
	l.file, l.size = f, size
	return nil
}

// repair cuts an unfinished record off the end of f and returns the size of what is left.
func repair(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return 0, err
	}
	size := info.Size()
	tail := make([]byte, min(size, 2*maxRecord))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil {
		return 0, err
	}
	whole := size - int64(len(tail)) + int64(bytes.LastIndexByte(tail, '\n')+1)
	if whole == size {
		return size, nil
	}
	return whole, f.Truncate(whole)
}

// rotate moves every file one number up; the oldest is overwritten. A reader that has a file open keeps it.
func (l *Log) rotate() error {
	if l.keep == 1 {
		if err := os.Remove(filepath.Join(l.dir, current)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	for i := l.keep - 1; i >= 1; i-- {
		err := os.Rename(l.name(i-1), l.name(i))
		if err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	l.close()
	return l.open()
}

func (l *Log) name(i int) string { return filepath.Join(l.dir, fileName(i)) }

// fileName is the name of the i-th newest file.
func fileName(i int) string {
	if i == 0 {
		return current
	}
	return strconv.Itoa(i) + ".log"
}

func (l *Log) close() {
	if l.file != nil {
		_ = l.file.Close()
	}
	l.file, l.size = nil, 0
}

// Close ends writing. Records that were lost and never told about are told about now if there is room.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost > 0 {
		_ = l.room()
	}
	l.close()
}
