package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// size is a number of bytes as a flag: 1048576, 64Ki, 64Mi, 1Gi.
type size int

// String is the number of bytes.
func (s *size) String() string { return strconv.Itoa(int(*s)) }

// Set reads a flag's value.
func (s *size) Set(text string) error {
	shift := 0
	for i, suffix := range []string{"Ki", "Mi", "Gi"} {
		if number, ok := strings.CutSuffix(text, suffix); ok {
			text, shift = number, 10*(i+1)
		}
	}
	n, err := strconv.Atoi(text)
	*s = size(n << shift)
	return err
}

// eat allocates memory and writes to every page of it, for memory that was only asked for takes nothing.
func eat(n int) []byte {
	const page = 4096
	food := make([]byte, n)
	for i := 0; i < n; i += page {
		food[i] = 1
	}
	return food
}

// lines is what to write before serving.
type lines struct {
	count  int // -1: without end
	rate   float64
	width  int
	stderr bool
}

// mostOften is how long a pause is at least: at high rates several lines are written after each.
const mostOften = 2 * time.Millisecond

// write writes "line 1", "line 2" ... and returns early with the signal that ends it.
func (l lines) write(signals <-chan os.Signal) os.Signal {
	out := bufio.NewWriterSize(os.Stdout, 64<<10)
	defer func() { _ = out.Flush() }() // as good as the reader of our output
	var pause <-chan time.Time
	burst := max(1, int(l.rate*float64(mostOften)/float64(time.Second)))
	if l.rate > 0 {
		ticker := time.NewTicker(time.Duration(float64(burst) * float64(time.Second) / l.rate))
		defer ticker.Stop()
		pause = ticker.C
	}
	for i := 1; l.count < 0 || i <= l.count; i++ {
		if pause == nil || i%burst == 0 {
			if pause != nil {
				_ = out.Flush()
			}
			if s := wait(signals, pause); s != nil {
				return s
			}
		}
		if l.stderr && i%2 == 0 {
			l.line(os.Stderr, i)
			continue
		}
		l.line(out, i)
	}
	return nil
}

// wait waits for the pause, if there is one, or a signal.
func wait(signals <-chan os.Signal, pause <-chan time.Time) os.Signal {
	if pause == nil {
		select {
		case s := <-signals:
			return s
		default:
			return nil
		}
	}
	select {
	case s := <-signals:
		return s
	case <-pause:
		return nil
	}
}

func (l lines) line(w io.Writer, i int) {
	text := fmt.Sprintf("line %d", i)
	if fill := l.width - len(text) - 1; fill > 1 {
		text += " " + strings.Repeat("x", fill-1)
	}
	fmt.Fprintln(w, text)
}
