package warrenctl

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/containerd/treetar"
)

// someInside are tasks that know a few commands. Their files lie in a folder of the script.
type someInside struct {
	files string
	asked int
}

func (s *someInside) running(task string) error {
	if task != "web-1-1" {
		return fmt.Errorf("%w; it is exited", host.ErrNotRunning)
	}
	return nil
}

func (s *someInside) Exec(_ context.Context, task string, c host.Command) (int, error) {
	if err := s.running(task); err != nil {
		return 0, fmt.Errorf("exec in %s: %w", task, err)
	}
	switch c.Args[0] {
	case "echo":
		fmt.Fprintln(c.Stdout, strings.Join(c.Args[1:], " "))
		return 0, nil
	case "cat":
		if c.Stdin == nil {
			return 0, nil
		}
		_, err := io.Copy(c.Stdout, c.Stdin)
		return 0, err
	case "fail":
		fmt.Fprintln(c.Stderr, "it went wrong")
		return 42, nil
	case "tty":
		if !c.TTY {
			fmt.Fprintln(c.Stdout, "not a tty")
			return 1, nil
		}
		fmt.Fprintln(c.Stdout, "/dev/pts/0")
		return 0, nil
	case "env", "sh":
		return 0, nil
	}
	return 0, fmt.Errorf("exec in %s: %w: %q: executable file not found in $PATH", task, host.ErrNoCommand, c.Args[0])
}

func (s *someInside) DialTask(_ context.Context, task string, port int) (net.Conn, error) {
	if port != 80 {
		return nil, fmt.Errorf("connect to %s port %d: connection refused", task, port)
	}
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		_, _ = io.CopyN(there, there, 5)
	}()
	return here, nil
}

func (s *someInside) ReadFiles(ctx context.Context, task, name string, to io.Writer) error {
	root, err := os.OpenRoot(s.files)
	if err != nil {
		return err
	}
	defer root.Close()
	name = strings.TrimPrefix(name, "/")
	if _, err := root.Lstat(name); err != nil {
		return fmt.Errorf("read %s:/%s: %w", task, name, host.ErrNoFile)
	}
	return treetar.Pack(ctx, root, name, to)
}

func (s *someInside) WriteFiles(_ context.Context, task, name, base string, from io.Reader) error {
	if strings.HasPrefix(name, "/ro") {
		return fmt.Errorf("write %s:%s: %w", task, name, host.ErrReadOnly)
	}
	root, err := os.OpenRoot(s.files)
	if err != nil {
		return err
	}
	defer root.Close()
	dir, file, err := treetar.Target(strings.TrimPrefix(name, "/"), base, func(p string) bool { return isDir(filepath.Join(s.files, p)) })
	if err != nil {
		return err
	}
	return treetar.Unpack(root, path.Join(dir, file), from, treetar.Options{})
}

// Usage goes on by a second with each look.
func (s *someInside) Usage(context.Context) (host.Usage, error) {
	n := int64(s.asked)
	s.asked++
	counters := func(busy time.Duration, memory int64) host.Counters {
		return host.Counters{CPU: time.Duration(n) * busy, Memory: memory << 20, MemoryLimit: 64 << 20, Received: n << 10, Sent: n << 11, Read: n << 20, Wrote: 0, Pids: 5}
	}
	return host.Usage{Node: "n1", Time: noon.Add(time.Duration(n) * time.Second), Cores: 4, DiskSize: 100 << 30, DiskUsed: 25 << 30,
		Total: counters(2*time.Second, 1024), Tasks: []host.TaskUsage{
			{Name: "api-1-1", Service: "api", Counters: counters(20*time.Millisecond, 30)},
			{Name: "web-1-1", Service: "web", Counters: counters(500*time.Millisecond, 10)},
		}}, nil
}
