package meta

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong in a document: where, and what is allowed there.
type Problem struct {
	Path   string `json:"path"` // e.g. spec.resources.limits.cpu, spec.env[2].name
	Reason string `json:"reason"`
}

func (p Problem) String() string {
	if p.Path == "" {
		return p.Reason
	}
	return p.Path + ": " + p.Reason
}

// Problems collects all that is wrong with one object, so that a user sees everything at once.
type Problems struct {
	List []Problem
}

// Add records a problem at a path.
func (p *Problems) Add(path, format string, args ...any) {
	p.List = append(p.List, Problem{Path: path, Reason: fmt.Sprintf(format, args...)})
}

// Err returns nil when there are none.
func (p *Problems) Err() error {
	if len(p.List) == 0 {
		return nil
	}
	return p
}

// Error joins all problems with "; ".
func (p *Problems) Error() string {
	s := make([]string, len(p.List))
	for i, x := range p.List {
		s[i] = x.String()
	}
	return strings.Join(s, "; ")
}
