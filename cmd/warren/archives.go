package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/manifest"
)

// brought is what the directory of images has brought so far.
type brought struct {
	once sync.Once
	done chan struct{} // closed after the first look
	kick chan struct{}
}

func (b *brought) init() {
	b.once.Do(func() { b.done, b.kick = make(chan struct{}), make(chan struct{}, 1) })
}

// wait returns when the directory was gone through once.
func (b *brought) wait(ctx context.Context) {
	b.init()
	select {
	case <-b.done:
	case <-ctx.Done():
	}
}

// look asks for another look at the directory.
func (b *brought) look() {
	b.init()
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

// freshAge is how long a file must have been left alone before it is read: somebody may still be writing it.
const freshAge = 2 * time.Second

// patience with files that are being written all the time, before the manifests are applied all the same.
const freshLooks = 15

// archives follows a directory of image archives. Images whose archive is there are kept; nothing is ever removed by it.
type archives struct {
	n      *node
	failed map[host.Archive]error // not to be tried again as they are
	told   string
	looks  int
}

// followImages imports what --images holds, and what comes there later. Without that flag nothing is kept for its sake.
func (n *node) followImages(ctx context.Context) {
	n.brought.init()
	if n.images == "" {
		close(n.brought.done)
		if err := n.host.KeepArchives(ctx, nil); err != nil && ctx.Err() == nil {
			n.log.Error(err, "images that came from a directory could not be looked at")
		}
		return
	}
	a := &archives{n: n, failed: map[host.Archive]error{}}
	l := manifest.Lookout{Dir: n.images, Files: archiveFiles, Look: a.look, Again: n.brought.kick}
	n.ended("images", l.Run(ctx))
}

// look imports what is new, and returns when to look again.
func (a *archives) look(ctx context.Context) (after time.Duration) {
	files, err := archiveFiles(a.n.images)
	errs, names := []error{err}, []string{}
	for _, path := range files {
		wait, err := a.file(ctx, path)
		if ctx.Err() != nil {
			return 0
		}
		errs, names = append(errs, err), append(names, filepath.Base(path))
		if wait > 0 && (after == 0 || wait < after) {
			after = wait
		}
	}
	if len(names) > 0 { // an empty directory may be one whose disk is not there
		errs = append(errs, a.n.host.KeepArchives(ctx, names))
	}
	if err := errors.Join(errs...); err != nil || after == 0 {
		a.report(ctx, err, len(names))
	}
	if a.looks++; after != freshAge || a.looks == freshLooks {
		a.first()
	}
	return after
}

// first lets those go on who wait for the first look.
func (a *archives) first() {
	select {
	case <-a.n.brought.done:
	default:
		close(a.n.brought.done)
	}
}

// file imports one archive if that has not been done, and returns when to look at it again.
func (a *archives) file(ctx context.Context, path string) (time.Duration, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	id := host.Archive{Name: filepath.Base(path), Version: fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano())}
	if err := a.failed[id]; err != nil {
		return 0, err
	}
	if done, err := a.n.host.HasArchive(ctx, id); err != nil || done {
		return 0, err
	}
	if time.Since(info.ModTime()).Abs() < freshAge {
		return freshAge, nil
	}
	err = a.load(ctx, path, id)
	if err == nil || ctx.Err() != nil {
		return 0, nil
	}
	err = fmt.Errorf("%s: %w", path, err)
	if ofTheDisk(err) {
		return time.Minute, err
	}
	a.failed[id] = err
	return 0, err
}

// ofTheDisk tells errors that are not the archive's fault, and may be over later. Of some only the text comes through containerd.
func ofTheDisk(err error) bool {
	for _, e := range []error{syscall.ENOSPC, syscall.EIO, syscall.EROFS, syscall.EDQUOT} {
		if errors.Is(err, e) || strings.HasSuffix(err.Error(), ": "+e.Error()) {
			return true
		}
	}
	return false
}

func (a *archives) load(ctx context.Context, path string, id host.Archive) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	began := time.Now()
	images, err := a.n.host.Import(ctx, f, host.ImportOptions{Archive: id})
	if err != nil {
		return err
	}
	names := []string{}
	for _, i := range images {
		names = append(names, i.Name)
	}
	a.n.log.Info("images imported", "file", path, "images", names, "took", time.Since(began).Round(time.Millisecond).String())
	return nil
}

// report says how the directory stands, to people and to /readyz.
func (a *archives) report(ctx context.Context, err error, count int) {
	a.n.status.set("images-dir", err)
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == a.told && a.looks > 0 {
		return
	}
	a.told = text
	if err == nil {
		a.n.log.Info("all image archives are imported", "dir", a.n.images, "archives", count)
		return
	}
	a.n.log.Error(err, "not all image archives are imported, the others are used", "dir", a.n.images)
	a.n.tellNode(ctx, host.Remark{Warning: true, Reason: "ImagesRefused", Message: strings.ReplaceAll(text, "\n", "; ")})
}

// archiveEndings are those of files that are taken for archives of images.
var archiveEndings = []string{".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst"}

// archiveFiles lists the archives of a directory, in order of name. Hidden files are left out: copies are made under such
// names.
func archiveFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || !slices.ContainsFunc(archiveEndings, func(end string) bool { return strings.HasSuffix(name, end) }) {
			continue
		}
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
			continue
		}
		out = append(out, path)
	}
	return out, nil
}
