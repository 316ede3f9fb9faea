package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
)

// disk is what the journal needs of a file system. What was done when a method returned is there after a power cut.
type disk interface {
	// Load returns the file, fs.ErrNotExist if there is none.
	Load() ([]byte, error)
	// WriteAt writes from a place on and cuts off what was behind.
	WriteAt(data []byte, at int64) error
	// Replace exchanges the whole file: there is the old or the new one at any time.
	Replace(data []byte) error
}

// file is a journal that is open. Only one goroutine writes.
type file struct {
	content
	disk   disk
	damage error // what was wrong when it was opened
	size   int64
	least  int64 // size after it was written anew
	unsure bool  // a write failed: what is on the disk is not known
}

// slack is how many bytes beyond four times what is needed make the file be written anew.
const slack = 128 << 10

// openFile reads what is there of the same owner. What cannot be read or written now is no reason not to go on: it is told by
// damage, and by the next write.
func openFile(d disk, h header) *file {
	f := &file{disk: d, content: content{header: h, records: map[meta.Key]record{}}}
	data, err := d.Load()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.damage, f.unsure = err, true
		return f
	}
	was, good, damage := read(data)
	f.size, f.least, f.damage = int64(good), int64(good), damage
	mine := good > 0 && was.header == h
	if mine {
		f.content = was
	}
	if !mine || damage != nil { // or what is appended would come after what cannot be read
		f.damage = errors.Join(damage, f.rewrite())
	}
	return f
}

// rewrite exchanges the file for the shortest one.
func (f *file) rewrite() error {
	data, err := f.whole()
	if err == nil {
		err = f.disk.Replace(data)
	}
	if f.unsure = err != nil; err == nil {
		f.size, f.least = int64(len(data)), int64(len(data))
	}
	return err
}

// write keeps what became of objects, nil for those that are gone. It returns how many bytes that took: none where nothing is new.
func (f *file) write(now map[meta.Key]*record, seen store.Revision, at time.Time) (int, error) {
	n := note{At: at.UnixMilli(), Seen: seen}
	for key, r := range now {
		if c, ok := f.differs(key, r); ok {
			n.Objects = append(n.Objects, c)
		}
	}
	if len(n.Objects) == 0 && !f.unsure {
		return 0, nil
	}
	sortChanges(n.Objects)
	data, err := frame(n)
	if err != nil {
		return 0, err
	}
	f.apply(now, n)
	if f.unsure || f.size+int64(len(data)) > 4*f.least+slack {
		return int(f.least), f.rewrite()
	}
	if err := f.disk.WriteAt(data, f.size); err != nil {
		f.unsure = true
		return 0, err
	}
	f.size += int64(len(data))
	return len(data), nil
}

func (f *file) differs(key meta.Key, r *record) (change, bool) {
	c := change{Key: key.String()}
	old, had := f.records[key]
	if r == nil {
		c.Drop = true
		return c, had
	}
	c.Mine, c.Gone = r.Mine, r.Gone
	if r.Base == nil && old.Base != nil { // cannot be said by a patch; it is of an object that was made here and not there
		r.Base = patch{}
	}
	c.Base = diff(old.Base, r.Base)
	return c, !had || c.Base != nil || old.Gone != r.Gone || len(diff(old.Mine, r.Mine)) > 0
}

func (f *file) apply(now map[meta.Key]*record, n note) {
	for key, r := range now {
		if r == nil {
			delete(f.records, key)
		} else {
			f.records[key] = *r
		}
	}
	f.seen, f.at = max(f.seen, n.Seen), time.UnixMilli(n.At)
}

func sortChanges(all []change) {
	slices.SortFunc(all, func(a, b change) int { return strings.Compare(a.Key, b.Key) })
}

// Name of the file in its directory.
const Name = "journal"

// onDisk is a directory of this machine.
type onDisk string

func (d onDisk) path() string { return filepath.Join(string(d), Name) }

// Load implements disk.
func (d onDisk) Load() ([]byte, error) {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return nil, err
	}
	return os.ReadFile(d.path())
}

// WriteAt implements disk.
func (d onDisk) WriteAt(data []byte, at int64) (err error) {
	f, err := os.OpenFile(d.path(), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if info, err := f.Stat(); err != nil || info.Size() < at {
		return errors.Join(err, fmt.Errorf("%s is shorter than what was written", d.path()))
	} else if info.Size() > at {
		if err := f.Truncate(at); err != nil {
			return err
		}
	}
	if _, err := f.WriteAt(data, at); err != nil {
		return err
	}
	return f.Sync()
}

// Replace implements disk.
func (d onDisk) Replace(data []byte) error {
	tmp, err := os.OpenFile(d.path()+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), d.path()); err != nil {
		return err
	}
	dir, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
