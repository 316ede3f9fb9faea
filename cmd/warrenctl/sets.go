package warrenctl

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/manifest"
)

// setFlags are those of apply and diff that are about what belongs together.
func setFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "set", Usage: "the objects belong to the set of this name (default with --prune: that of the file or directory)"},
		&cli.BoolFlag{Name: "prune", Usage: "remove what the set once applied and does not contain any more"},
	}
}

// aboutSets is what help says about them.
const aboutSets = "Objects that no file names stay as they are, but with --prune: that removes what was applied with the same set before and\n" +
	"is not in the files any more. It removes nothing that came without a set or with another one."

// options are those of the flags.
func options(c *cli.Context) (manifest.Options, error) {
	o := manifest.Options{Set: c.String("set"), Prune: c.Bool("prune")}
	switch {
	case c.Bool("force") && !o.Prune:
		return o, usagef("--force has a meaning with --prune only")
	case c.Bool("force"):
		o.Guard = manifest.GuardNone
	}
	if o.Set == "" && o.Prune {
		name, err := setName(c.StringSlice("file"))
		if err != nil {
			return o, err
		}
		o.Set = name
	}
	if why := meta.CheckName(o.Set); o.Set != "" && why != "" {
		return o, usagef("--set: %s", why)
	}
	return o, nil
}

// setName is the name of the directory or file that is applied, without its ending.
func setName(files []string) (string, error) {
	if len(files) != 1 || files[0] == "-" {
		return "", try(usagef("what shall the set be called? there is no one file or directory to name it after"), "the same with --set NAME")
	}
	path, err := filepath.Abs(files[0])
	if err != nil {
		return "", err
	}
	name := strings.ToLower(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)))
	if why := meta.CheckName(name); why != "" {
		return "", try(usagef("what shall the set be called? %s", why), "the same with --set NAME")
	}
	return name, nil
}

// setOf is the name of the set that applied an object, or "".
func setOf(o meta.Object) string { return o.Meta().Labels[manifest.SetLabel] }

// hint adds the next step to errors of applying.
func hint(err error) error {
	switch {
	case errors.Is(err, manifest.ErrLeaving):
		return try(err, "the same again in a moment")
	case errors.Is(err, manifest.ErrTooMuch):
		return try(err, "warrenctl diff with the same flags; then, if it shall be so, the same with --force")
	case errors.Is(err, manifest.ErrOtherSet):
		return try(err, "leave it out, or apply it with --set and the name of its set")
	}
	return err
}
