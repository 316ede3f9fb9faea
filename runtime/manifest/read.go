package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"warren.io/warren/apis/meta"
)

// Stdin is the source that means the standard input.
const Stdin = "-"

// Read reads all objects of the sources: files, directories (their *.yaml, *.yml and *.json, not those in folders below,
// not hidden ones) and "-" for in. Either all objects are right, or the error is a *Problems with everything that is
// wrong in any of them. Sources without an object give ErrEmpty.
func Read(in io.Reader, sources ...string) ([]Document, error) {
	r := &reader{in: in}
	for _, s := range sources {
		r.source(s)
	}
	r.twice()
	if err := r.problems.err(); err != nil {
		return nil, err
	}
	if len(r.docs) == 0 {
		return nil, fmt.Errorf("%s: %w", strings.Join(sources, ", "), ErrEmpty)
	}
	return r.docs, nil
}

type reader struct {
	in       io.Reader
	docs     []Document
	problems Problems
	last     int // line of the file at hand; YAML takes more characters for line breaks than editors do
}

func (r *reader) fail(file string, line int, format string, args ...any) {
	r.problems.add(Problem{File: file, Line: line, Problem: meta.Problem{Reason: fmt.Sprintf(format, args...)}})
}

func (r *reader) source(name string) {
	if name == Stdin {
		r.stream("stdin", r.in)
		return
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		r.fail(name, 0, "%v", cause(err))
	case info.IsDir():
		r.directory(name)
	default:
		r.file(name)
	}
}

func (r *reader) directory(dir string) {
	names, err := list(dir)
	if err != nil {
		r.fail(dir, 0, "%v", cause(err))
	}
	for _, name := range names {
		r.file(name)
	}
}

// list returns the manifests of a directory in order of their names.
func list(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if !isManifest(e.Name()) {
			continue
		}
		// A link that leads nowhere is kept: opening it says so. Folders, pipes and devices are no manifests.
		if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
			continue
		}
		names = append(names, path)
	}
	if len(names) > MaxFiles {
		return nil, fmt.Errorf("holds %d files; at most %d are read", len(names), MaxFiles)
	}
	return names, nil
}

// isManifest leaves out hidden files and what editors leave behind (.#a.yaml, a.yaml~, #a.yaml#).
func isManifest(name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "#") {
		return false
	}
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

func (r *reader) file(name string) {
	f, err := os.Open(name)
	if err != nil {
		r.fail(name, 0, "%v", cause(err))
		return
	}
	defer func() { _ = f.Close() }()
	r.stream(name, f)
}

func (r *reader) stream(name string, in io.Reader) {
	data, err := io.ReadAll(io.LimitReader(in, MaxFile+1))
	switch {
	case err != nil:
		r.fail(name, 0, "%v", cause(err))
	case len(data) > MaxFile:
		r.fail(name, 1, "is larger than %s", meta.Bytes(MaxFile))
	default:
		r.bytes(name, data)
	}
}

// cause is what went wrong without the path, which is said already.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// twice complains about objects that were written in two places.
func (r *reader) twice() {
	first := map[meta.Key]Document{}
	for _, d := range r.docs {
		key := d.Object.Key()
		if f, ok := first[key]; ok {
			r.problems.add(Problem{File: d.File, Line: d.Line, Object: key.String(), Problem: meta.Problem{
				Reason: fmt.Sprintf("is given twice; the first is in %s:%d", f.File, f.Line)}})
			continue
		}
		first[key] = d
	}
}
