package warrenctl

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/containerd/treetar"
	"warren.io/warren/runtime/store/grpcstore"
)

func (p *program) cpVerb() *cli.Command {
	return &cli.Command{
		Name: "cp", Usage: "copy files and directories from and to a running task", ArgsUsage: "TASK:PATH LOCAL | LOCAL TASK:PATH",
		Description: "Into what is a directory already, or to a new name. Directories with all below them, links as links; modes and\n" +
			"times are kept. In the task the copy belongs to the user that it runs as. The task needs no program for it.",
		Action: func(c *cli.Context) error {
			words := c.Args().Slice()
			if len(words) != 2 {
				return try(usagef("copy what to where?"), "warrenctl cp TASK:PATH LOCAL")
			}
			from, fromPath, out := taskPath(words[0])
			to, toPath, in := taskPath(words[1])
			if in == out {
				return usagef("one of the two has to be TASK:PATH, the other a path here; for a file here with ':' write ./%s", words[0])
			}
			s, err := p.server(c)
			if err != nil {
				return err
			}
			task, err := taskNamed(c.Context, s, from+to)
			if err != nil {
				return err
			}
			if out {
				err = p.copyOut(c, s, task, fromPath, words[1])
			} else {
				err = p.copyIn(c, s, task, words[0], toPath)
			}
			if errors.Is(err, host.ErrReadOnly) {
				return try(err, "a place of the task that can be written, or readOnlyRootFilesystem: false")
			}
			return insideError(c.Context, s, task, err)
		},
	}
}

// taskPath reads TASK:PATH. What begins with a dot or a slash is a path here, whatever is in it.
func taskPath(word string) (task, name string, ok bool) {
	task, name, ok = strings.Cut(word, ":")
	if !ok || task == "" || strings.HasPrefix(task, ".") || strings.HasPrefix(task, "/") {
		return "", "", false
	}
	return task, name, true
}

// copyOut unpacks what comes from the task. It is not trusted: nothing is written elsewhere than below the target.
func (p *program) copyOut(c *cli.Context, s *grpcstore.Store, task, name, local string) error {
	base := path.Base(path.Clean("/" + name))
	if base == "/" {
		base = task
	}
	dir, file, err := treetar.Target(local, base, isDir)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	from, to := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := s.ReadFiles(c.Context, task, name, to)
		_ = to.CloseWithError(err)
		sent <- err
	}()
	err = treetar.Unpack(root, file, from, treetar.Options{Skipped: func(name string) {
		p.note("left out %s: it is no file, directory or link", path.Join(base, name))
	}})
	_ = from.CloseWithError(errStopped)
	if e := <-sent; e != nil && !errors.Is(e, errStopped) {
		return e
	}
	return err
}

// errStopped ends the sending side of a pipe whose reader has ended.
var errStopped = errors.New("the receiver has ended")

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

func (p *program) copyIn(c *cli.Context, s *grpcstore.Store, task, local, name string) error {
	local = filepath.Clean(local)
	abs, err := filepath.Abs(local)
	if err != nil {
		return err
	}
	dir, base := filepath.Split(abs)
	inside := base
	if base == "" {
		dir, base, inside = abs, "root", "."
	}
	if _, err := os.Lstat(abs); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: no such file or directory", local)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	from, to := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := treetar.Pack(c.Context, root, inside, to)
		_ = to.CloseWithError(err)
		packed <- err
	}()
	err = s.WriteFiles(c.Context, task, name, base, from)
	_ = from.CloseWithError(errStopped)
	if e := <-packed; e != nil && !errors.Is(e, errStopped) {
		return e
	}
	return err
}
