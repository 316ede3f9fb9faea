package warrenctl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/manifest"
	"warren.io/warren/runtime/store"
)

func (p *program) editVerb() *cli.Command {
	return &cli.Command{
		Name: "edit", Usage: "change a resource in an editor", ArgsUsage: "KIND/NAME",
		Description: "The editor is the one in the variable VISUAL or EDITOR, else vi. What you saved is checked like a file that is applied;\n" +
			"if anything is wrong with it, nothing is changed and your text is kept.",
		Action: func(c *cli.Context) error {
			kind, keys, err := keysOf(c.Args().Slice())
			if kind == v1.ClusterKind && len(keys) == 0 {
				keys = []meta.Key{{Kind: kind.Name, Name: v1.ClusterName}} // there is only one
			}
			switch {
			case err != nil:
				return err
			case len(keys) != 1:
				return try(usagef("edit what? name one resource"), "warrenctl edit service/NAME")
			}
			if k := kindsOf(keys)[0]; !k.Written() {
				return usagef("%s are made by the cluster itself; there is nothing to edit", k.Plural)
			}
			s, err := p.server(c)
			if err != nil {
				return err
			}
			// Ctrl-C in the editor is meant for the editor.
			return p.edit(context.WithoutCancel(c.Context), s, keys[0])
		},
	}
}

func (p *program) edit(ctx context.Context, s store.Store, key meta.Key) error {
	was, err := s.Get(ctx, key)
	if err != nil {
		return about(key, err)
	}
	file, err := draft(p.getenv("TMPDIR"), was)
	if err != nil {
		return fmt.Errorf("edit: %w", err)
	}
	before, _ := os.ReadFile(file)
	err = p.run(file)
	if after, e := os.ReadFile(file); err != nil && e == nil && bytes.Equal(before, after) {
		return errors.Join(try(err, "EDITOR=vi warrenctl edit %s, or another editor", lower(key.Kind, key.Name)), os.Remove(file)) // nothing to keep
	}
	if err == nil {
		err = p.save(ctx, s, was, file)
	}
	if err != nil {
		p.note("your text is kept in %s", file)
		var e *exit
		if !errors.As(err, &e) || e.try == "" {
			err = try(err, "mend it, then warrenctl apply -f %s", file)
		}
		return err
	}
	return os.Remove(file)
}

// draft writes what people may change of an object into a file of its own.
func draft(dir string, was meta.Object) (string, error) {
	k, err := kindOf(was.Key().Kind)
	if err != nil {
		return "", err
	}
	o := k.New()
	m := o.Meta()
	m.Name, m.Labels, m.Annotations = was.Meta().Name, was.Meta().Labels, was.Meta().Annotations
	meta.CopySpec(o, was)
	text, err := manifest.YAML(o)
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp(dir, "warren-"+was.Meta().Name+"-*.yaml")
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	return f.Name(), errors.Join(err, f.Close())
}

// run opens the editor on a file and returns when it was closed.
func (p *program) run(file string) error {
	editor := "vi"
	for _, name := range []string{"EDITOR", "VISUAL"} {
		if e := p.getenv(name); e != "" {
			editor = e
		}
	}
	cmd := exec.Command("sh", "-c", editor+` "$1"`, "sh", file)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.in, p.out, p.err
	if w, ok := p.out.(*whole); ok {
		cmd.Stdout = w.Writer // the terminal itself
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("editor %s: %w", editor, err)
	}
	return nil
}

// save commits what is in the file, unless somebody else changed the same object meanwhile.
func (p *program) save(ctx context.Context, s store.Store, was meta.Object, file string) error {
	docs, err := manifest.Read(strings.NewReader(""), file)
	if err != nil {
		return err
	}
	if len(docs) != 1 || docs[0].Object.Key() != was.Key() {
		return fmt.Errorf("the text is not about %s alone; edit changes no names", lower(was.Key().Kind, was.Meta().Name))
	}
	text := docs[0].Object
	return p.modify(ctx, s, []meta.Key{was.Key()}, func(o meta.Object) (string, error) {
		if !unchanged(was, o) {
			return "", fmt.Errorf("%s was changed by somebody else meanwhile", lower(was.Key().Kind, was.Meta().Name))
		}
		o.Meta().Labels, o.Meta().Annotations = text.Meta().Labels, text.Meta().Annotations
		meta.CopySpec(o, text)
		return "configured", nil
	})
}
