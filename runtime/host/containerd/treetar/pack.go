// Package treetar carries a file or a tree through a tar archive, from one place to another that do not trust each other:
// what is read lies below the place, and what is written too, whatever names and links there are on the way.
//
// The thing itself has the name "." in the archive. Files, directories and symbolic links are carried with their mode and
// time; of hard links each becomes a file, of sockets nothing is left, devices and pipes are in the archive but not unpacked.
package treetar

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// Pack writes what has the given name in root, and all below it.
func Pack(ctx context.Context, root *os.Root, name string, to io.Writer) error {
	p := &packer{ctx: ctx, root: root, tar: tar.NewWriter(to)}
	if err := p.add(name, "."); err != nil {
		return err
	}
	return p.tar.Close()
}

type packer struct {
	ctx  context.Context
	root *os.Root
	tar  *tar.Writer
}

// add writes one thing and what is below it; as is its name in the archive.
func (p *packer) add(name, as string) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	info, err := p.root.Lstat(name)
	if err != nil {
		return ignoreGone(as, err)
	}
	switch {
	case info.Mode()&fs.ModeSocket != 0:
		return nil
	case info.Mode().IsRegular():
		return p.file(name, as)
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if link, err = p.root.Readlink(name); err != nil {
			return ignoreGone(as, err)
		}
	}
	if err := p.header(info, as, link); err != nil || !info.IsDir() {
		return err
	}
	return p.directory(name, as)
}

// ignoreGone: what vanishes while a tree is read was not there.
func ignoreGone(as string, err error) error {
	if as != "." && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (p *packer) header(info fs.FileInfo, as, link string) error {
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	h.Name, h.Uname, h.Gname, h.Format = as, "", "", tar.FormatPAX
	return p.tar.WriteHeader(h)
}

// directory goes through the entries in portions, so that a big one costs little memory.
func (p *packer) directory(name, as string) error {
	d, err := p.root.Open(name)
	if err != nil {
		return ignoreGone(as, err)
	}
	defer func() { _ = d.Close() }()
	for {
		entries, err := d.ReadDir(1000)
		for _, e := range entries {
			if err := p.add(path.Join(name, e.Name()), path.Join(as, e.Name())); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// file writes as many bytes as the file had when it was opened, whatever is done to it meanwhile.
func (p *packer) file(name, as string) error {
	f, err := p.root.Open(name)
	if err != nil {
		return ignoreGone(as, err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s was replaced while it was read", name)
	}
	if err := p.header(info, as, ""); err != nil {
		return err
	}
	n, err := io.Copy(p.tar, &stoppable{p.ctx, io.LimitReader(f, info.Size())})
	if err == nil && n < info.Size() {
		err = fmt.Errorf("%s became shorter while it was read", name)
	}
	return err
}

// stoppable ends a long copy when nobody wants it any more.
type stoppable struct {
	ctx context.Context
	io.Reader
}

// Read implements io.Reader.
func (s *stoppable) Read(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.Reader.Read(b)
}
