package hosts

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"warren.io/warren/runtime/host/network/netns"
)

// idPattern matches what randomID makes.
const idPattern = "[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]"

// sweep removes the benches whose process died without doing it. The kernel lets go of their locks.
func sweep() error {
	dirs, err := filepath.Glob(benchPrefix + idPattern)
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range dirs {
		lock, err := lockDir(dir)
		switch {
		case err == nil:
			errs = append(errs, deadBench(dir, lock).Close())
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, os.ErrNotExist): // it neither lives nor is swept by another just now
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, sweepNamespaces())...)
}

// deadBench is the bench that was in dir, as far as it can be seen.
func deadBench(dir string, lock *os.File) *Bench {
	b := &Bench{ID: strings.TrimPrefix(dir, benchPrefix), dir: dir, lock: lock}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			b.hosts = append(b.hosts, newHost(b, e.Name()))
		}
	}
	return b
}

// sweepNamespaces removes namespaces whose bench has no directory any more.
func sweepNamespaces() error {
	paths, err := filepath.Glob(nsPrefix + idPattern + "-*")
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range paths {
		id, _, _ := strings.Cut(strings.TrimPrefix(path, nsPrefix), "-")
		if _, err := os.Stat(benchPrefix + id); errors.Is(err, os.ErrNotExist) {
			errs = append(errs, netns.Remove(path))
		}
	}
	return errors.Join(errs...)
}
