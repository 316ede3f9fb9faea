package main

import (
	"bytes"
	"slices"
	"sync"
)

// Bounds of what is remembered of warren's own log.
const (
	lastLinesCount = 1000
	lastLineBytes  = 4 << 10 // of one line
	lastLinesBytes = 1 << 20 // of all
)

// lastLines remembers the last lines of a log in memory, for bug reports: on many machines nobody else keeps them.
type lastLines struct {
	mu    sync.Mutex
	lines [][]byte
	bytes int
}

// Write implements io.Writer. A log writes one line at a time.
func (l *lastLines) Write(p []byte) (int, error) {
	line := bytes.Clone(p[:min(len(p), lastLineBytes)])
	if len(line) < len(p) {
		line = append(line, " ...\n"...)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	l.bytes += len(line)
	drop := 0
	for ; len(l.lines)-drop > lastLinesCount || l.bytes > lastLinesBytes; drop++ {
		l.bytes -= len(l.lines[drop])
	}
	l.lines = slices.Delete(l.lines, 0, drop)
	return len(p), nil
}

// text is all that is remembered, oldest first.
func (l *lastLines) text() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Join(l.lines, nil)
}
