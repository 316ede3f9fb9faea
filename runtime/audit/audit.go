// Package audit keeps who changed what in a file of lines, beside the store: bounded, rotated, and never in the way of a
// commit. It is written only when somebody changed something.
package audit

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

// Bounds of the files: the one that is written and four before it.
const (
	MaxFile  = 10 << 20
	MaxFiles = 5
)

// FileName is that of the file that is written; earlier ones end in .1 (the latest) to .4.
const FileName = "audit.log"

const (
	queued      = 4096 // entries that wait for the disk; more are lost
	syncEvery   = time.Second
	maxFollower = 1024 // entries that wait for one who follows; then it is told so
)

// Entry is one change of one object.
type Entry struct {
	Time   time.Time `json:"time"`
	Author string    `json:"author"`
	// Revision of the commit; 0 where its answer was lost, so that nobody knows whether it came to be.
	Revision int64  `json:"revision"`
	Verb     string `json:"verb"` // created, changed, deleted
	Key      string `json:"key"`  // Service/web
	// Fields are the paths that changed. Their values stay out: they may be nobody's business.
	Fields []string `json:"fields,omitempty"`
}

// Log writes entries in one goroutine. What cannot be written is counted, and said once.
type Log struct {
	dir  string
	log  logr.Logger
	lost func() // is told of each entry that could not be written
	size int64  // of a file, at most

	queue chan Entry
	quit  chan struct{}
	done  chan struct{}

	mu        sync.Mutex // over what is below; held while a line is written
	file      *os.File
	length    int64
	torn      bool // the file may end within a line
	failing   bool
	followers map[*follower]bool
	stopped   bool
}

// Open begins to write in a directory, which is made when something is to be written. lost is told of each entry that could
// not be.
func Open(dir string, log logr.Logger, lost func()) *Log { return open(dir, log, lost, MaxFile) }

func open(dir string, log logr.Logger, lost func(), size int64) *Log {
	l := &Log{dir: dir, log: log, lost: lost, size: size, queue: make(chan Entry, queued), quit: make(chan struct{}), done: make(chan struct{}), followers: map[*follower]bool{}}
	go l.run()
	return l
}

// Append hands an entry over and returns at once. After Close it does nothing.
func (l *Log) Append(e Entry) {
	select {
	case l.queue <- e:
	default:
		l.lost()
	}
}

// Close writes what is queued and ends all who follow.
func (l *Log) Close() error {
	close(l.quit)
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	for f := range l.followers {
		l.leave(f)
	}
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// run writes entries as they come, and brings them to the disk at most once a second: with the first, and a second later what
// came meanwhile.
func (l *Log) run() {
	defer close(l.done)
	var due <-chan time.Time
	var last time.Time
	for {
		select {
		case <-l.quit:
			for len(l.queue) > 0 {
				l.write(<-l.queue)
			}
			l.sync()
			return
		case e := <-l.queue:
			l.write(e)
			switch wait := syncEvery - time.Since(last); {
			case due != nil:
			case wait > 0:
				due = time.After(wait)
			default:
				last = time.Now()
				l.sync()
			}
		case <-due:
			due, last = nil, time.Now()
			l.sync()
		}
	}
}

func (l *Log) write(e Entry) {
	line, err := json.Marshal(e)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		err = l.put(append(line, '\n'))
	}
	if l.note(err); err != nil {
		l.lost()
		return
	}
	l.tell(e)
}

// note says once that nothing can be written, until something can.
func (l *Log) note(err error) {
	if err == nil {
		l.failing = false
		return
	}
	if !l.failing {
		l.failing = true
		l.log.Error(err, "audit log cannot be written; changes go on and are not in it", "dir", l.dir)
	}
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}

// put writes one line, in a new file where the present one is full.
func (l *Log) put(line []byte) error {
	if err := l.ready(); err != nil {
		return err
	}
	if l.length > 0 && l.length+int64(len(line)) > l.size {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	if l.torn {
		line = append([]byte("\n"), line...)
	}
	n, err := l.file.Write(line)
	l.length += int64(n)
	if l.torn = err != nil; err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	return nil
}

// ready opens the file where it is not. After a power cut it may end within a line, which stays alone.
func (l *Log) ready() error {
	if l.file != nil {
		return nil
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	f, err := os.OpenFile(l.path(0), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("write audit log: %w", err)
	}
	l.file, l.length, l.torn = f, info.Size(), false
	last := make([]byte, 1)
	if l.length > 0 {
		_, err = f.ReadAt(last, l.length-1)
		l.torn = err != nil || last[0] != '\n'
	}
	return syncDir(l.dir)
}

// rotate moves each file one place on; the oldest goes.
func (l *Log) rotate() error {
	_ = l.file.Sync()
	_ = l.file.Close()
	l.file = nil
	for i := MaxFiles - 2; i >= 0; i-- {
		if err := os.Rename(l.path(i), l.path(i+1)); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("rotate audit log: %w", err)
		}
	}
	return l.ready()
}

func (l *Log) path(i int) string {
	if i == 0 {
		return filepath.Join(l.dir, FileName)
	}
	return filepath.Join(l.dir, fmt.Sprintf("%s.%d", FileName, i))
}

func (l *Log) sync() {
	l.mu.Lock()
	f := l.file
	l.mu.Unlock()
	if f == nil {
		return
	}
	if err := f.Sync(); err != nil { // only this goroutine closes it
		l.mu.Lock()
		defer l.mu.Unlock()
		l.note(fmt.Errorf("write audit log: %w", err))
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	defer d.Close()
	return d.Sync()
}
