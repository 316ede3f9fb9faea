package manifest

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A Lookout tells of new files, of files behind links, of a directory that comes late, and when it is asked to.
func TestLookout(t *testing.T) {
	top := t.TempDir()
	dir, far := filepath.Join(top, "images"), filepath.Join(top, "far")
	looks, again := make(chan []string, 100), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	files := func(d string) ([]string, error) { return filepath.Glob(filepath.Join(d, "*.tar")) }
	l := &Lookout{Dir: dir, Files: files, Again: again, Pace: Pace{Quiet: time.Millisecond}, Look: func(context.Context) time.Duration {
		found, _ := files(dir)
		looks <- found
		return 0
	}}
	go func() { ended <- l.Run(ctx) }()
	seen := func(what string, want int) {
		t.Helper()
		for deadline := time.After(10 * time.Second); ; {
			select {
			case found := <-looks:
				if len(found) == want {
					return
				}
			case <-deadline:
				t.Fatalf("%s was not seen", what)
			}
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	seen("the start", 0)
	must(os.Mkdir(dir, 0o755))
	must(os.WriteFile(filepath.Join(dir, "a.tar"), nil, 0o644))
	seen("a new file", 1)
	must(os.WriteFile(far, nil, 0o644))
	must(os.Symlink(far, filepath.Join(dir, "b.tar")))
	seen("a link", 2)
	must(os.WriteFile(far, []byte("x"), 0o644))
	seen("what a link leads to", 2)
	again <- struct{}{}
	seen("the wish", 2)
	must(os.Remove(filepath.Join(dir, "a.tar")))
	seen("a removal", 1)
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Error(err)
	}
}
