package warrenctl

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Bounds of a bundle, before it is compressed.
const (
	maxBundlePart = 16 << 20
	maxBundle     = 128 << 20
)

// bundle is an archive that appears when it is complete. Errors of writing are kept until the end.
type bundle struct {
	path, dir string
	now       time.Time
	file      *os.File // nil when it is over
	gz        *gzip.Writer
	tar       *tar.Writer
	err       error
	left      int // bytes that it may still take

	entries []bundled
	errors  []string // parts that are missing, one line each
}

type bundled struct {
	name string
	size int
}

// newBundle begins an archive in whose only folder, dir, everything lies. The file is made beside path, readable for its
// owner only, and moved there in the end: what was there before loses neither content nor gets what it should not have.
func newBundle(path, dir string, now time.Time) (*bundle, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a folder; name a file in it", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".warren-debug-*") // mode 0600
	if err != nil {
		return nil, err
	}
	b := &bundle{path: path, dir: dir, now: now, file: f, gz: gzip.NewWriter(f), left: maxBundle}
	b.tar = tar.NewWriter(b.gz)
	return b, nil
}

// add puts in a file, or as much of it as there is room for.
func (b *bundle) add(name string, data []byte) {
	if room := min(b.left, maxBundlePart); len(data) > room {
		data = data[:room]
		b.miss(name, fmt.Errorf("cut off after %d bytes", room))
	}
	b.left -= len(data)
	b.put(name, data)
}

func (b *bundle) put(name string, data []byte) {
	if b.err != nil {
		return
	}
	b.err = b.tar.WriteHeader(&tar.Header{Name: b.dir + "/" + name, Mode: 0o600, Size: int64(len(data)), ModTime: b.now, Typeflag: tar.TypeReg})
	if b.err == nil {
		_, b.err = b.tar.Write(data)
	}
	b.entries = append(b.entries, bundled{name, len(data)})
}

// miss notes in one line that a part cannot be had, if there is an error.
func (b *bundle) miss(name string, err error) {
	if err != nil {
		b.errors = append(b.errors, name+": "+strings.Join(strings.Fields(err.Error()), " "))
	}
}

// finish writes what is missing and what all this is, and moves the archive to its place.
func (b *bundle) finish(leftOut []string) error {
	if len(b.errors) > 0 {
		b.put("errors.txt", []byte(strings.Join(b.errors, "\n")+"\n"))
	}
	text := "A report on a Warren node by warrenctl debug bundle, " + b.now.UTC().Format(time.RFC3339) + ".\n\nIn it, in bytes:\n"
	for _, e := range b.entries {
		text += fmt.Sprintf("  %s %d\n", e.name, e.size)
	}
	text += "\nLeft out:\n"
	for _, l := range leftOut {
		text += "  " + l + "\n"
	}
	b.put("README.txt", []byte(text))
	err := errors.Join(b.err, b.tar.Close(), b.gz.Close(), b.file.Sync())
	if err == nil {
		err = os.Rename(b.file.Name(), b.path)
	}
	if err != nil {
		return err
	}
	err = b.file.Close()
	b.file = nil
	return err
}

// abandon removes what is not finished.
func (b *bundle) abandon() {
	if b.file != nil {
		_ = b.file.Close()
		_ = os.Remove(b.file.Name())
	}
}
