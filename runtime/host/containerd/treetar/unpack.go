package treetar

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// Options of Unpack.
type Options struct {
	// UID and GID own what is made, if Own is set; otherwise whoever runs this does.
	Own      bool
	UID, GID int
	// Skipped is called with what cannot be made, like devices. May be nil.
	Skipped func(name string)
}

// ErrKind is returned where a directory would replace a file, or the other way round.
var ErrKind = errors.New("a file and a directory cannot replace each other")

// Unpack makes in root, under the given name, what an archive of Pack has. What is there already is replaced, but for
// directories, which are kept with what else they have.
func Unpack(root *os.Root, name string, from io.Reader, o Options) error {
	u := &unpacker{root: root, name: name, o: o}
	defer u.leave()
	for in := tar.NewReader(from); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return u.finish(from)
		}
		if err == nil {
			err = u.entry(h, in)
		}
		if err != nil {
			return err
		}
	}
}

type unpacker struct {
	root    *os.Root
	name    string
	o       Options
	any     bool
	entered bool
	folders []folder // mode and time are set when all in it was made
}

type folder struct {
	name string
	mode fs.FileMode
	time time.Time
}

func (u *unpacker) entry(h *tar.Header, body io.Reader) error {
	rest := path.Clean(h.Name)
	if !fs.ValidPath(rest) || rest != "." && !u.any {
		return fmt.Errorf("unpack %q: the archive is not one of these", h.Name)
	}
	u.any = true
	name := path.Join(u.name, rest)
	mode := h.FileInfo().Mode().Perm()
	switch h.Typeflag {
	case tar.TypeDir:
		if err := u.directory(name, mode, h.ModTime); err != nil || rest != "." {
			return err
		}
		return u.enter()
	case tar.TypeReg:
		return u.file(name, mode, h.ModTime, body)
	case tar.TypeSymlink:
		return u.link(name, h.Linkname)
	}
	if u.o.Skipped != nil {
		u.o.Skipped(rest)
	}
	return nil
}

// enter makes the directory that is unpacked the place that nothing leads out of.
func (u *unpacker) enter() error {
	if u.entered {
		return nil
	}
	inner, err := u.root.OpenRoot(u.name)
	if err != nil {
		return err
	}
	u.root, u.name, u.entered = inner, ".", true
	for i := range u.folders {
		u.folders[i].name = "."
	}
	return nil
}

func (u *unpacker) leave() {
	if u.entered {
		_ = u.root.Close()
	}
}

func (u *unpacker) directory(name string, mode fs.FileMode, at time.Time) error {
	err := u.root.Mkdir(name, 0o700)
	if errors.Is(err, fs.ErrExist) {
		info, e := u.root.Lstat(name)
		if e != nil || !info.IsDir() {
			return fmt.Errorf("%s: %w", name, ErrKind)
		}
		return nil
	}
	if err != nil {
		return err
	}
	u.folders = append(u.folders, folder{name, mode, at})
	return u.own(name)
}

// clear removes what a file or link will replace. It is removed and not written over: it may be a link to somewhere else,
// or a program that runs.
func (u *unpacker) clear(name string) error {
	info, err := u.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.IsDir() {
		return fmt.Errorf("%s: %w", name, ErrKind)
	}
	if err == nil {
		err = u.root.Remove(name)
	}
	return err
}

func (u *unpacker) file(name string, mode fs.FileMode, at time.Time, body io.Reader) error {
	if err := u.clear(name); err != nil {
		return err
	}
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, body)
	if u.o.Own {
		err = errors.Join(err, f.Chown(u.o.UID, u.o.GID))
	}
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err != nil {
		_ = u.root.Remove(name) // half a file is worse than none
		return err
	}
	return u.root.Chtimes(name, at, at)
}

func (u *unpacker) link(name, to string) error {
	if err := u.clear(name); err != nil {
		return err
	}
	if err := u.root.Symlink(to, name); err != nil {
		return err
	}
	return u.own(name)
}

func (u *unpacker) own(name string) error {
	if !u.o.Own {
		return nil
	}
	return u.root.Lchown(name, u.o.UID, u.o.GID)
}

// finish sets modes and times of directories, innermost first, and reads the padding so that the sender is not cut off.
func (u *unpacker) finish(from io.Reader) error {
	for i := len(u.folders) - 1; i >= 0; i-- {
		f := u.folders[i]
		if err := errors.Join(u.root.Chmod(f.name, f.mode), u.root.Chtimes(f.name, f.time, f.time)); err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, from); err != nil {
		return err
	}
	if !u.any {
		return errors.New("the archive is empty")
	}
	return nil
}

// Target tells where a source of the given base name goes: into dst if that is a directory, else it becomes dst, whose
// folder must be there. It returns that folder and the name in it. isDir looks at paths.
func Target(dst, base string, isDir func(string) bool) (dir, name string, err error) {
	switch {
	case isDir(dst):
		dir, name = dst, base
	case strings.HasSuffix(dst, "/"):
		return "", "", fmt.Errorf("%s: %w", dst, fs.ErrNotExist)
	default:
		dir, name = path.Split(dst)
	}
	if dir == "" {
		dir = "."
	}
	if name == "" || name == "." || name == ".." || name == "/" || strings.Contains(name, "/") {
		return "", "", fmt.Errorf("%q is no name for a file", name)
	}
	return dir, name, nil
}
