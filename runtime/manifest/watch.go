package manifest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watch tells that a directory may have changed: what is in it, what it is, where links on the way to it or to its files
// lead. It knows too much rather than too little.
type watch struct {
	dir    string
	events *fsnotify.Watcher
	places map[string]bool // directories that are watched, all links resolved; true: for everything in them
	names  map[string]bool // what is of interest in the others
}

func newWatch(dir string) (*watch, error) {
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	return &watch{dir: abs, events: events, places: map[string]bool{}}, nil
}

func (w *watch) close() { _ = w.events.Close() }

// renew watches what matters now: links may lead elsewhere than before, and directories may be others of the same name.
func (w *watch) renew() {
	for p := range w.places {
		_ = w.events.Remove(p)
	}
	w.places, w.names = map[string]bool{}, map[string]bool{}
	real := w.trail(w.dir)
	w.places[real] = true
	files, _ := list(real) // unreadable: what there is to watch is found all the same
	for _, f := range files {
		w.trail(f)
	}
	for p := range w.places {
		_ = w.events.Add(p) // a missing one will appear in the one above it, which is watched too
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
	var timeout <-chan time.Time
	if most > 0 {
		t := time.NewTimer(most)
		defer t.Stop()
		timeout = t.C
	}
	for {
		select {
		case e, ok := <-w.events.Events:
			if !ok || w.matters(e) {
				return true
			}
		case <-w.events.Errors: // events were lost
			return true
		case <-timeout:
			return false
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
