// Package control runs controllers. A controller declares what it reads and which fields it writes, and reconciles one work
// item at a time in one transaction; the engine keeps a snapshot of the store current, decides who runs when, checks every
// write against the declaration, and commits it.
package control

import (
	"context"
	"fmt"
	"strings"
	"time"

	"warren.io/warren/apis/meta"
)

// Controller drives one kind of thing towards what is wanted.
type Controller interface {
	Contract() Contract
	// Reconcile looks at one work item and takes the next step. It runs on one snapshot; what it writes to tx is committed
	// as a whole after it returned nil, or not at all. It must not block, keep tx, or depend on anything but tx and its
	// own host. Running it again with nothing changed must write nothing.
	Reconcile(ctx context.Context, tx *Tx, name string) (Result, error)
}

// Result is what a reconcile asks for.
type Result struct {
	// After asks to be run again when this time has passed; 0 means only when an input changes.
	After time.Duration
}

// Contract is what a controller declares about itself. The engine holds it to that.
type Contract struct {
	Name string
	// Kind of the work items; "" means that there is one item, named "".
	Kind string
	// Reads are all kinds that it looks at. A change in one leads to the work items that Items names.
	Reads []Input
	// Writes are the kinds that it creates and deletes ("Task") and the fields that it changes ("Task.spec.node",
	// "Node.status.{state,subnet}"). No two controllers write the same.
	Writes []string
	// Finalizer says that it keeps deleted objects of these kinds until it has cleaned up; the finalizer has its name.
	Finalizer []string
	// Leader or node, for the graph.
	Runs string
}

// Where a controller runs.
const (
	OnLeader    = "leader"
	OnEveryNode = "every node"
)

// Input is one kind that a controller reads.
type Input struct {
	Kind string
	// Items returns the work items that a change concerns; old or new is nil at creation and deletion. If Items is nil, it is
	// the object itself where it is of the contract's Kind, and the one item where the contract has no Kind.
	Items func(old, new meta.Object) []string
}

// NoItems is for inputs whose changes alone are no reason to run.
func NoItems(_, _ meta.Object) []string { return nil }

// One is for inputs any change of which concerns the one item.
func One(_, _ meta.Object) []string { return oneItem }

// All is what Items returns when a change concerns every work item.
var All = []string{everything}

const everything = "*" // no name of an object

var oneItem = []string{""}

func (in Input) items(c *Contract, old, new meta.Object) []string {
	o := new
	if o == nil {
		o = old
	}
	switch {
	case in.Items != nil:
		return in.Items(old, new)
	case c.Kind == "":
		return oneItem
	case in.Kind == c.Kind:
		return []string{o.Key().Name}
	}
	return nil
}

// expand turns "Node.status.{state,subnet}" into its two paths.
func expand(writes []string) []string {
	var out []string
	for _, w := range writes {
		head, rest, ok := strings.Cut(w, "{")
		if !ok {
			out = append(out, w)
			continue
		}
		for _, f := range strings.Split(strings.TrimSuffix(rest, "}"), ",") {
			out = append(out, head+strings.TrimSpace(f))
		}
	}
	return out
}

// covers tells whether a declared path contains another.
func covers(declared, path string) bool {
	return path == declared || strings.HasPrefix(path, declared+".")
}

// CheckContracts refuses declarations that no engine could hold controllers to: two writers of one field, unnamed or doubled
// controllers, kinds that do not exist, fields of a kind that is not read.
func CheckContracts(kinds meta.Kinds, all []Contract) error {
	type claim struct{ by, path string }
	var claims []claim
	seen := map[string]bool{}
	for _, c := range all {
		if c.Name == "" || seen[c.Name] {
			return fmt.Errorf("contract of controller %q: name is empty or used twice", c.Name)
		}
		seen[c.Name] = true
		if err := checkKinds(kinds, c); err != nil {
			return err
		}
		for _, path := range expand(c.Writes) {
			for _, other := range claims {
				if contested(other.path, path) {
					return fmt.Errorf("contracts of %s and %s overlap: both write %s", other.by, c.Name, path)
				}
			}
			claims = append(claims, claim{c.Name, path})
		}
	}
	return nil
}

// contested paths have two writers. To create and delete a kind is another right than to change its fields.
func contested(a, b string) bool {
	if !strings.Contains(a, ".") || !strings.Contains(b, ".") {
		return a == b
	}
	return covers(a, b) || covers(b, a)
}

func checkKinds(kinds meta.Kinds, c Contract) error {
	reads := map[string]bool{}
	for _, in := range c.Reads {
		if _, ok := kinds.ByName(in.Kind); !ok {
			return fmt.Errorf("contract of %s: reads unknown kind %q", c.Name, in.Kind)
		}
		reads[in.Kind] = true
	}
	if c.Kind != "" && !reads[c.Kind] {
		return fmt.Errorf("contract of %s: works on %s but does not read it", c.Name, c.Kind)
	}
	for _, kind := range c.Finalizer {
		if !reads[kind] {
			return fmt.Errorf("contract of %s: finalizes %s but does not read it", c.Name, kind)
		}
	}
	for _, path := range expand(c.Writes) {
		name, rest, part := strings.Cut(path, ".")
		if !reads[name] {
			return fmt.Errorf("contract of %s: writes %s but does not read %s", c.Name, path, name)
		}
		if kind, _ := kinds.ByName(name); part && !hasField(kind, rest) {
			return fmt.Errorf("contract of %s: writes %s, which is no field", c.Name, path)
		}
	}
	return nil
}

func (c *Contract) reads(kind string) bool {
	for _, in := range c.Reads {
		if in.Kind == kind {
			return true
		}
	}
	return false
}

// mayMake tells whether objects of a kind may be created and deleted.
func (c *Contract) mayMake(kind string) bool {
	for _, w := range c.Writes {
		if w == kind {
			return true
		}
	}
	return false
}

func (c *Contract) mayChange(kind, path string) bool {
	for _, w := range expand(c.Writes) {
		if k, p, ok := strings.Cut(w, "."); ok && k == kind && covers(p, path) {
			return true
		}
	}
	return false
}

func (c *Contract) finalizes(kind string) bool {
	for _, k := range c.Finalizer {
		if k == kind {
			return true
		}
	}
	return false
}
