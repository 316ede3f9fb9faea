package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrBehind ends one who follows and is too slow.
var ErrBehind = errors.New("too slow to follow; ask again")

// Query says what of the log is wanted.
type Query struct {
	Key    string // only changes of this object, like Service/web; empty for all
	Tail   int    // only the last that many; negative for all
	Follow bool   // and what comes, until the context ends
}

// follower is one who waits for what comes.
type follower struct {
	entries chan Entry
	behind  bool
}

// tell passes an entry on to all who follow. The caller holds the lock.
func (l *Log) tell(e Entry) {
	for f := range l.followers {
		select {
		case f.entries <- e:
		default:
			f.behind = true
			l.leave(f)
		}
	}
}

// leave ends one who follows. The caller holds the lock.
func (l *Log) leave(f *follower) {
	if l.followers[f] {
		delete(l.followers, f)
		close(f.entries)
	}
}

// Read calls emit for each entry, oldest first. What is no entry is left out. An error of emit ends it and is returned.
func (l *Log) Read(ctx context.Context, q Query, emit func(Entry) error) error {
	files, f, err := l.begin(q.Follow)
	defer func() {
		for _, file := range files {
			_ = file.Close()
		}
	}()
	if f != nil {
		defer func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.leave(f)
		}()
	}
	if err != nil {
		return err
	}
	if err := past(ctx, files, q, emit); err != nil || f == nil {
		return err
	}
	for {
		select {
		case e, ok := <-f.entries:
			switch {
			case !ok && f.behind:
				return ErrBehind
			case !ok:
				return nil
			case q.Key != "" && e.Key != q.Key:
				continue
			}
			if err := emit(e); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// section is what a file held at one moment.
type section struct {
	io.Reader
	io.Closer
}

// begin opens all files, oldest first, as they are now; what comes from now on reaches the follower.
func (l *Log) begin(follow bool) (files []section, f *follower, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := MaxFiles - 1; i >= 0; i-- {
		file, err := os.Open(l.path(i))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return files, nil, fmt.Errorf("read audit log: %w", err)
		}
		info, err := file.Stat()
		if err != nil {
			return append(files, section{file, file}), nil, fmt.Errorf("read audit log: %w", err)
		}
		files = append(files, section{io.LimitReader(file, info.Size()), file})
	}
	if follow && !l.stopped {
		f = &follower{entries: make(chan Entry, maxFollower)}
		l.followers[f] = true
	}
	return files, f, nil
}

// past emits what is in the files; of a tail only that is kept in memory.
func past(ctx context.Context, files []section, q Query, emit func(Entry) error) error {
	var last []Entry
	for _, file := range files {
		in := bufio.NewScanner(file)
		in.Buffer(nil, MaxFile)
		for in.Scan() {
			e, ok := decode(in.Bytes(), q.Key)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case !ok:
			case q.Tail < 0:
				if err := emit(e); err != nil {
					return err
				}
			default:
				if last = append(last, e); len(last) > q.Tail {
					last = last[1:]
				}
			}
		}
		if err := in.Err(); err != nil {
			return fmt.Errorf("read audit log: %w", err)
		}
	}
	for _, e := range last {
		if err := emit(e); err != nil {
			return err
		}
	}
	return nil
}

func decode(line []byte, key string) (e Entry, ok bool) {
	if key != "" && !bytes.Contains(line, []byte(key)) {
		return e, false
	}
	err := json.Unmarshal(line, &e)
	return e, err == nil && e.Key != "" && (key == "" || e.Key == key)
}
