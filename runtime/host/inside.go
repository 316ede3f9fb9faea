package host

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// ErrNotRunning is returned for a task that is there but has no process now.
var ErrNotRunning = errors.New("task is not running")

// ErrNoCommand is returned for a command that the task's file system does not have, or that cannot be run.
var ErrNoCommand = errors.New("command not found")

// ErrReadOnly is returned for a place in a task's file system that cannot be written.
var ErrReadOnly = errors.New("file system is read-only")

// ErrNoFile is returned for a path that a task does not have.
var ErrNoFile = errors.New("no such file or directory")

// Inside is what people do in running tasks.
type Inside interface {
	// Exec runs a command with the confinement of the task and returns its exit code. When ctx ends, the command is killed
	// with all that it started; nothing of it is left when Exec returns.
	Exec(ctx context.Context, task string, c Command) (int, error)
	// DialTask connects to a TCP port of a task. The connection can be closed for writing alone.
	DialTask(ctx context.Context, task string, port int) (net.Conn, error)
	// ReadFiles writes a tar archive of a file or tree of the task. The thing itself has the name "." in it.
	ReadFiles(ctx context.Context, task, path string, to io.Writer) error
	// WriteFiles puts such an archive at path, or at path/name if path is a directory. Everything belongs to the task's user.
	WriteFiles(ctx context.Context, task, path, name string, from io.Reader) error
}

// Command is what Exec runs.
type Command struct {
	Args []string
	// TTY gives it a terminal of Size, of the kind Term. Then all output goes to Stdout.
	TTY  bool
	Size TerminalSize
	Term string

	Stdin          io.Reader // nil: none. What Read blocks on may be left behind when the command has ended.
	Stdout, Stderr io.Writer
	// Events are new sizes of the terminal and signals. May be nil.
	Events <-chan CommandEvent
}

// TerminalSize is counted in characters.
type TerminalSize struct{ Width, Height uint32 }

// CommandEvent is a new size of the terminal, or a signal like "SIGINT" if that is not empty.
type CommandEvent struct {
	Size   TerminalSize
	Signal string
}

// Meter reads what is used on this node.
type Meter interface {
	Usage(ctx context.Context) (Usage, error)
}

// Usage is what the node and its running tasks have used up to a time. Rates are the difference of two.
type Usage struct {
	Node               string
	Time               time.Time
	Total              Counters // of the machine; network without loopback and tasks' links
	Cores              int
	DiskSize, DiskUsed int64 // of the file system with the data directory
	Tasks              []TaskUsage
}

// TaskUsage is what one attempt of a task used.
type TaskUsage struct {
	Name, Service string
	Attempt       int
	Counters
}

// Counters grow from the start of what is counted, but for Memory and Pids, which are of now.
type Counters struct {
	CPU                         time.Duration
	Memory, MemoryLimit         int64 // bytes; memory without what the kernel would give back at once. No limit: 0
	Received, Sent, Read, Wrote int64 // bytes of network and disk
	Pids                        int64
}
