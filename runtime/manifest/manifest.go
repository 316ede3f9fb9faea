// Package manifest is the way from files to the store: Read turns files, directories and streams of YAML or JSON into
// checked objects or into a list of everything that is wrong, with file and line; Compare says what applying them would
// change; Apply changes it, all or nothing; Follow keeps doing so for a directory that somebody else writes.
package manifest

import (
	"errors"
	"fmt"
	"strings"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
)

// Limits of what is read.
const (
	MaxFile      = 1 << 20 // bytes of one file or stream
	MaxFiles     = 1000    // in one directory
	MaxDocuments = 1000    // in one file
	MaxShown     = 50      // problems that are listed one by one
	maxExpanded  = 4 << 20 // bytes of one document as JSON, after its aliases were put in
	maxDepth     = 64      // of maps and lists in each other
)

// ErrEmpty means that there was nothing to apply: no file, or no document in them. It is never a reason to remove anything.
var ErrEmpty = errors.New("holds no objects")

// Document is one object and where it was written.
type Document struct {
	Object meta.Object
	File   string
	Line   int
}

// Problem is one thing that is wrong, and where.
type Problem struct {
	File string
	Line int // from 1; 0 when it is about the file as a whole
	// Object is the kind and name of the document, as far as known.
	Object string
	meta.Problem
}

// String is the form that people read: stack.yaml:14: Service/web: spec.replcias: unknown field; did you mean 'replicas'?
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	if p.Object != "" {
		fmt.Fprintf(&b, ": %s", p.Object)
	}
	return b.String() + ": " + p.Problem.String()
}

// Problems is everything that is wrong with all that was read. It is an error.
type Problems struct {
	List []Problem
	// More counts those beyond the first MaxShown.
	More int
}

// Error has one line for each problem.
func (p *Problems) Error() string {
	lines := make([]string, len(p.List), len(p.List)+1)
	for i, x := range p.List {
		lines[i] = x.String()
	}
	if p.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d more problems", p.More))
	}
	return strings.Join(lines, "\n")
}

func (p *Problems) add(x Problem) {
	if len(p.List) >= MaxShown {
		p.More++
		return
	}
	p.List = append(p.List, x)
}

func (p *Problems) err() error {
	if len(p.List) == 0 {
		return nil
	}
	return p
}

// Objects returns the objects of documents, in their order.
func Objects(docs []Document) []meta.Object {
	out := make([]meta.Object, len(docs))
	for i, d := range docs {
		out[i] = d.Object
	}
	return out
}

// kinds are those that a document may be of.
var kinds = v1.Kinds
