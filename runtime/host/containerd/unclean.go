package containerd

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// runMark tells a stop from a crash: it is in DATA_DIR while a host is open, and as long as what a crash may have left was not
// looked through. Since is when all was known to be good; Boot tells one start of the machine from the next.
type runMark struct {
	Boot  string    `json:"boot"`
	Since time.Time `json:"since"`
}

const runMarkName = "unclean"

func (h *Host) markPath() string { return filepath.Join(h.cfg.DataDir, runMarkName) }

// beginRun leaves the mark before anything is changed, and returns the one of a run that did not end in good order. One that
// cannot be read says nothing about what was good when, as the zero value does.
func (h *Host) beginRun() *runMark {
	old := &runMark{}
	data, err := os.ReadFile(h.markPath())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		h.writeMark(time.Now())
		return nil
	case err == nil && json.Unmarshal(data, old) != nil:
		old = &runMark{}
	}
	return old
}

// writeMark says that all is good at a time and that a run goes on. Without the mark the next start trusts what it finds.
func (h *Host) writeMark(good time.Time) {
	data, err := json.Marshal(runMark{Boot: bootID(), Since: good})
	if err == nil {
		err = writeDurably(h.markPath(), data)
	}
	if err != nil {
		h.log.Error(err, "the mark of a crash could not be written: after one, images will not be looked through")
	}
}

// endRun takes the mark away, last of all.
func (h *Host) endRun() error {
	if !h.verified.Load() {
		return nil // what the run before this one may have left is still to be looked through
	}
	if err := os.Remove(h.markPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(h.markPath()))
}

// bootID tells one start of this machine from another.
func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}

// writeDurably replaces a file as a whole: after a power cut there is the old or the new one.
func writeDurably(path string, data []byte) error {
	tmp, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
