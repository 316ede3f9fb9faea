package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/containerd/treetar"
)

// ReadFiles writes a tar archive of a file or tree of a task. It needs no program in the task, and sees its mounts.
func (h *Host) ReadFiles(ctx context.Context, task, name string, to io.Writer) error {
	err := h.readFiles(ctx, task, name, to)
	return fileError("read "+task+":"+name, err)
}

func (h *Host) readFiles(ctx context.Context, task, name string, to io.Writer) error {
	s, err := h.inside(task)
	if err != nil {
		return err
	}
	dir, base := path.Split(path.Clean("/" + name))
	if base == "" { // the root itself
		dir, base = "/", "."
	}
	root, err := h.openTaskDir(s, dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	if strings.HasSuffix(name, "/") || base == "." { // the directory that a link leads to, not the link
		inner, err := h.openTaskDir(s, name)
		if err != nil {
			return err
		}
		defer func() { _ = inner.Close() }()
		root, base = inner, "."
	}
	return treetar.Pack(ctx, root, base, to)
}

// WriteFiles puts a tar archive into a task. What it makes belongs to the user that the task runs as.
func (h *Host) WriteFiles(ctx context.Context, task, name, base string, from io.Reader) error {
	err := h.writeFiles(ctx, task, name, base, from)
	return fileError("write "+task+":"+name, err)
}

func (h *Host) writeFiles(ctx context.Context, task, name, base string, from io.Reader) error {
	s, err := h.inside(task)
	if err != nil {
		return err
	}
	uid, gid, err := owner(s.PID)
	if err != nil {
		return fmt.Errorf("%w: %v", host.ErrNotRunning, err)
	}
	dst := path.Clean("/" + name)
	if strings.HasSuffix(name, "/") && dst != "/" {
		dst += "/"
	}
	dir, file, err := treetar.Target(dst, base, func(p string) bool {
		root, err := h.openTaskDir(s, p)
		if err == nil {
			_ = root.Close()
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	root, err := h.openTaskDir(s, dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return treetar.Unpack(root, file, from, treetar.Options{Own: true, UID: uid, GID: gid})
}

// openTaskDir opens a directory of a task as the task sees it: its own links are followed, but none leads out of its root.
func (h *Host) openTaskDir(s host.State, name string) (*os.Root, error) {
	proc := "/proc/" + strconv.Itoa(s.PID)
	top, err := unix.Open(proc+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: open its root: %v", host.ErrNotRunning, err)
	}
	defer func() { _ = unix.Close(top) }()
	// Its number may have gone to another process since we learned it: what was opened must be the task's.
	if groups, err := os.ReadFile(proc + "/cgroup"); err != nil || !bytes.Contains(groups, []byte(cgroupPath(h.cfg.Instance, s.Name)+"\n")) {
		return nil, host.ErrNotRunning
	}
	fd, err := unix.Openat2(top, name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	return os.OpenRoot("/proc/self/fd/" + strconv.Itoa(fd))
}

// owner is who the task's process runs as.
func owner(pid int) (uid, gid int, err error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, 0, err
	}
	for line := range bytes.Lines(data) {
		f := strings.Fields(string(line))
		switch {
		case len(f) > 2 && f[0] == "Uid:":
			uid, err = strconv.Atoi(f[2])
		case len(f) > 2 && f[0] == "Gid:":
			gid, err = strconv.Atoi(f[2])
		}
		if err != nil {
			return 0, 0, err
		}
	}
	return uid, gid, nil
}

// fileError says in words of people what is wrong with a place in a task.
func fileError(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s: %w", what, host.ErrReadOnly)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w", what, host.ErrNoFile)
	}
	if p, ok := errors.AsType[*fs.PathError](err); ok { // its path would be one of ours
		return fmt.Errorf("%s: %w", what, p.Err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
