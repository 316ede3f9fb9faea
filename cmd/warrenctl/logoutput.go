package warrenctl

import (
	"bufio"
	"fmt"
	"sync"
	"time"

	"warren.io/warren/runtime/host"
)

// logOutput prints lines of several tasks, also at once. It collects what comes within a moment, so that a flood of lines costs
// few writes and a single line hardly waits.
type logOutput struct {
	p          *program
	prefix     bool // each line begins with its task's name
	timestamps bool
	colours    bool

	mu      sync.Mutex
	to      *bufio.Writer
	width   int            // of the longest name so far
	colour  map[string]int // of a task, in the order in which they came
	dirty   chan struct{}
	ended   chan struct{}
	stopped chan struct{}
}

// moment is how long a line waits for others.
const moment = 5 * time.Millisecond

func newLogOutput(p *program, timestamps bool) *logOutput {
	to := p.out
	if w, ok := to.(*whole); ok {
		to = w.Writer
	}
	o := &logOutput{p: p, timestamps: timestamps, colours: isTerminal(to) && p.getenv("NO_COLOR") == "", to: bufio.NewWriterSize(p.out, 64<<10),
		colour: map[string]int{}, dirty: make(chan struct{}, 1), ended: make(chan struct{}), stopped: make(chan struct{})}
	go o.flush()
	return o
}

func (o *logOutput) widen(task string) { o.width = max(o.width, len(task)) }

// line prints one line; a notice goes where it is no result.
func (o *logOutput) line(task string, x host.LogLine) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if x.Stream == host.Notice {
		_ = o.to.Flush()
		o.p.note("task %q: %s", task, x.Text)
		return
	}
	if o.prefix {
		o.name(task)
	}
	if o.timestamps {
		_, _ = o.to.WriteString(x.Time.UTC().Format("2006-01-02T15:04:05.000000Z "))
	}
	_, _ = o.to.WriteString(x.Text)
	_ = o.to.WriteByte('\n')
	select {
	case o.dirty <- struct{}{}:
	default:
	}
}

// palette are colours that can be read on dark and on light: cyan, yellow, green, magenta, blue, red.
var palette = []int{36, 33, 32, 35, 34, 31}

func (o *logOutput) name(task string) {
	o.widen(task)
	if !o.colours {
		_, _ = fmt.Fprintf(o.to, "%-*s | ", o.width, task)
		return
	}
	n, known := o.colour[task]
	if !known {
		n = len(o.colour)
		o.colour[task] = n
	}
	_, _ = fmt.Fprintf(o.to, "\x1b[%dm%-*s |\x1b[0m ", palette[n%len(palette)], o.width, task)
}

// flush writes what was collected, a moment after the first of it came.
func (o *logOutput) flush() {
	defer close(o.stopped)
	for {
		select {
		case <-o.ended:
			return
		case <-o.dirty:
		}
		select {
		case <-o.ended:
			return
		case <-time.After(moment):
		}
		o.mu.Lock()
		_ = o.to.Flush()
		o.mu.Unlock()
	}
}

// close writes the rest.
func (o *logOutput) close() {
	close(o.ended)
	<-o.stopped
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = o.to.Flush()
}
