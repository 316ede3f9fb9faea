package manifest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watch tells that a directory may have changed: what is in it, what it is, where links on the way to it or to its files
// lead. It knows too much rather than too little. Where the system has no watch left to give (each user may have so many),
// it tells so once a minute instead.
type watch struct {
	dir    string
	files  func(dir string) ([]string, error) // those of interest, whose links are followed
	events *fsnotify.Watcher                  // nil without one
	blind  bool                               // changes may be missed
	places map[string]bool                    // directories that are watched, all links resolved; true: for everything in them
	names  map[string]bool                    // what is of interest in the others
}

// blindFor is how long changes may be missed.
const blindFor = time.Minute

func newWatch(dir string) (*watch, error) {
	abs, err := filepath.Abs(dir)
	return &watch{dir: abs, files: list}, err
}

func (w *watch) close() {
	if w.events != nil {
		_ = w.events.Close()
	}
}

// renew watches what matters now: links may lead elsewhere than before, and directories may be others of the same name.
func (w *watch) renew() {
	w.blind = false
	if w.events == nil {
		w.events, _ = fsnotify.NewWatcher() // nil again: blind
	}
	for p := range w.places {
		w.unsee(p)
	}
	w.places, w.names = map[string]bool{}, map[string]bool{}
	real := w.trail(w.dir)
	w.places[real] = true
	files, _ := w.files(real) // unreadable: what there is to watch is found all the same
	for _, f := range files {
		w.trail(f)
	}
	for p := range w.places {
		w.see(p)
	}
}

// see adds one directory. A missing one will appear in the one above it, which is watched too.
func (w *watch) see(place string) {
	if w.events == nil {
		w.blind = true
		return
	}
	if err := w.events.Add(place); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		w.blind = true
	}
}

func (w *watch) unsee(place string) {
	if w.events != nil {
		_ = w.events.Remove(place) // it may be gone with its directory
	}
}

// maxTrail bounds how many links and directories lead to a file; links may go in a circle.
const maxTrail = 400

// trail notes every step of a path, with all links on it followed, and returns where it ends.
func (w *watch) trail(path string) string {
	at, left := "/", steps(path)
	for n := 0; len(left) > 0 && n < maxTrail; n++ {
		p, rest := filepath.Join(at, left[0]), left[1:]
		w.names[p] = true
		w.places[at] = w.places[at]
		to, err := os.Readlink(p)
		if err != nil {
			at, left = p, rest
			continue
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(at, to)
		}
		at, left = "/", append(steps(to), rest...)
	}
	return at
}

func steps(path string) []string {
	return strings.FieldsFunc(filepath.Clean(path), func(c rune) bool { return c == filepath.Separator })
}

// wait returns true when something happened, false after the time (0: none) or at the end of ctx.
func (w *watch) wait(ctx context.Context, most time.Duration) bool {
	late := false // what the end of the time means
	if w.blind && (most == 0 || most > blindFor) {
		most, late = blindFor, true
	}
	var timeout <-chan time.Time
	if most > 0 {
		t := time.NewTimer(most)
		defer t.Stop()
		timeout = t.C
	}
	var events chan fsnotify.Event
	var lost chan error
	if w.events != nil {
		events, lost = w.events.Events, w.events.Errors
	}
	for {
		select {
		case e, ok := <-events:
			if !ok || w.matters(e) {
				return true
			}
		case <-lost:
			return true
		case <-timeout:
			return late
		case <-ctx.Done():
			return false
		}
	}
}

func (w *watch) matters(e fsnotify.Event) bool {
	return w.names[e.Name] || w.places[filepath.Dir(e.Name)] || w.places[e.Name]
}

// busy bounds how long changes that never end put off a reading.
const busy = 5 * time.Second

// quiet returns when nothing happened for a while.
func (w *watch) quiet(ctx context.Context, while time.Duration) {
	end := time.Now().Add(busy)
	for w.wait(ctx, while) && time.Now().Before(end) {
		w.renew() // what is new may hold more that is new
	}
}
