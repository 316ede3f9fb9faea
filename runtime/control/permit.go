package control

import (
	"fmt"
	"slices"

	"warren.io/warren/apis/meta"
)

// Permit returns a check of single changes: why no controller with one of these contracts makes it, or nil. It lets a server
// hold controllers that run elsewhere to what they declared. old is nil at creation, new at removal.
func Permit(kinds meta.Kinds, all []Contract) func(old, new meta.Object) error {
	p := permission{kinds, all}
	return func(old, new meta.Object) error {
		switch {
		case old == nil:
			return p.creation(new)
		case new == nil:
			return p.removal(old)
		}
		return p.change(old, new)
	}
}

type permission struct {
	kinds meta.Kinds
	all   []Contract
}

func (p permission) any(f func(*Contract) bool) bool {
	for i := range p.all {
		if f(&p.all[i]) {
			return true
		}
	}
	return false
}

func (p permission) mayMake(kind string) bool {
	return p.any(func(c *Contract) bool { return c.mayMake(kind) })
}

// made are the fields of metadata that are written with every creation.
var made = []string{"metadata.name", "metadata.created", "metadata.generation"}

func (p permission) creation(o meta.Object) error {
	k, known := p.kinds.ByName(o.Key().Kind)
	if !known || !p.mayMake(k.Name) {
		return fmt.Errorf("no agent creates it")
	}
	for _, path := range meta.Diff(k.New(), o) {
		if !slices.Contains(made, path) && !p.mayChange(k.Name, path) {
			return fmt.Errorf("no agent sets %s", path)
		}
	}
	return nil
}

// removal is also how the last finalizer goes.
func (p permission) removal(o meta.Object) error {
	m := o.Meta()
	if !m.Deleted.IsZero() && len(m.Finalizers) > 0 && p.finalizers(o.Key().Kind, m.Finalizers, nil) || p.mayMake(o.Key().Kind) {
		return nil
	}
	return fmt.Errorf("no agent removes it")
}

func (p permission) change(old, new meta.Object) error {
	kind := new.Key().Kind
	for _, path := range meta.Diff(old, new) {
		if path == "metadata.finalizers" && p.finalizers(kind, old.Meta().Finalizers, new.Meta().Finalizers) {
			continue
		}
		if !p.mayChange(kind, path) {
			return fmt.Errorf("no agent changes %s", path)
		}
	}
	return nil
}

func (p permission) mayChange(kind, path string) bool {
	return p.any(func(c *Contract) bool { return c.mayChange(kind, path) })
}

// finalizers tells whether all that were added or taken away are of these controllers.
func (p permission) finalizers(kind string, old, new []string) bool {
	for _, name := range slices.Concat(old, new) {
		if slices.Contains(old, name) && slices.Contains(new, name) {
			continue
		}
		if !p.any(func(c *Contract) bool { return c.Name == name && c.finalizes(kind) }) {
			return false
		}
	}
	return true
}
