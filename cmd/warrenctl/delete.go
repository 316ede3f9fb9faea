package warrenctl

import (
	"errors"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
)

func (p *program) deleteVerb() *cli.Command {
	return &cli.Command{
		Name: "delete", Usage: "remove resources, all or none", ArgsUsage: "KIND/NAME... | KIND NAME... | KIND -l SELECTOR|--all | -f FILE|DIR|-",
		Description: "Deleting a service stops its tasks. Deleting a task makes the service start another in its place.",
		Flags: append(subjectFlags(), fileFlag(), &cli.BoolFlag{Name: "wait", Usage: "wait until they are gone, and the tasks of deleted services too"},
			timeoutFlag()),
		Action: func(c *cli.Context) error {
			x, err := p.victims(c)
			if err != nil {
				return err
			}
			s, err := p.server(c)
			if err != nil {
				return err
			}
			keys, err := x.find(c.Context, p, s)
			if err != nil || len(keys) == 0 {
				return err
			}
			w := &leaving{keys: keys, left: map[meta.Key]bool{}}
			if c.Bool("wait") {
				if err := w.find(c.Context, s); err != nil {
					return err
				}
			}
			ops := make([]store.Op, len(keys))
			for i, key := range keys {
				ops[i] = store.Op{Verb: store.Delete, Key: key, Guard: store.Any}
			}
			if _, err := s.Commit(c.Context, ops...); err != nil {
				return p.missing(c, keys, err)
			}
			for _, key := range keys {
				p.printf("%s deleted\n", lower(key.Kind, key.Name))
			}
			return w.wait(c.Context, p, s, c.Duration("timeout"))
		},
	}
}

// victims are the objects that were named, have labels, or stand in files.
func (p *program) victims(c *cli.Context) (*subject, error) {
	if len(c.StringSlice("file")) == 0 {
		x, err := subjectOf(c, c.Args().Slice(), "warrenctl delete service/NAME")
		if err == nil {
			err = x.removable()
		}
		return x, err
	}
	if c.IsSet("selector") || c.Bool("all") {
		return nil, usagef("files exclude --selector and --all")
	}
	objects, err := p.read(c)
	x := &subject{}
	for _, o := range objects {
		x.keys = append(x.keys, o.Key())
	}
	return x, err
}

// missing says which of the objects are not there.
func (p *program) missing(c *cli.Context, keys []meta.Key, err error) error {
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	var all []error
	for _, key := range keys {
		if _, err := p.conn.Get(c.Context, key); errors.Is(err, store.ErrNotFound) {
			all = append(all, notFound(key))
		}
	}
	if len(all) == 0 {
		return err
	}
	return errors.Join(all...)
}
