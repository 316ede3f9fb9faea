package warrenctl

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
)

// line is a command line, sorted out: people write flags before and after names, as it comes.
type line struct {
	verb, sub *cli.Command
	global    []string // flags of warrenctl itself
	flags     []string // flags of the verb
	words     []string // the rest
	help      bool
}

// args are what the cli package expects: flags first.
func (l *line) args(name string) []string {
	out := append([]string{name}, l.global...)
	if l.verb != nil {
		out = append(out, l.verb.Name)
	}
	if l.sub != nil {
		out = append(out, l.sub.Name)
	}
	out = append(out, l.flags...)
	return append(append(out, "--"), l.words...)
}

// arrange sorts out a command line, or says what is wrong with it and what may have been meant.
func arrange(app *cli.App, args []string) (*line, error) {
	l := &line{}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			l.words = append(l.words, args...)
			args = nil
		case arg == "-h" || arg == "--help":
			l.help = true
		case len(arg) > 1 && arg[0] == '-':
			rest, err := l.flag(app, arg, args)
			if err != nil {
				return nil, err
			}
			args = rest
		default:
			if err := l.word(app, arg); err != nil {
				return nil, err
			}
		}
	}
	switch {
	case l.verb == nil:
		l.help = true
	case len(l.verb.Subcommands) > 0 && l.sub == nil && !l.help:
		return nil, try(usagef("%s needs one of %s", l.verb.Name, strings.Join(names(l.verb.Subcommands), ", ")), "warrenctl %s --help", l.verb.Name)
	case l.deepest().ArgsUsage == "" && len(l.words) > 0 && !l.help:
		return nil, l.surplus()
	}
	return l, nil
}

// deepest is the command that was named: image rm, or get.
func (l *line) deepest() *cli.Command {
	if l.sub != nil {
		return l.sub
	}
	return l.verb
}

// path is how people write it.
func (l *line) path() string {
	switch {
	case l.sub != nil:
		return l.verb.Name + " " + l.sub.Name
	case l.verb != nil:
		return l.verb.Name
	}
	return ""
}

// surplus says that a word is too much, and where it may belong.
func (l *line) surplus() error {
	err := usagef("%q is too much: %s takes no names", l.words[0], l.path())
	for _, f := range l.own() {
		if slices.Contains(f.Names(), "for") {
			return try(err, "warrenctl %s --for %s", l.path(), slashed(l.words[0]))
		}
	}
	return try(err, "warrenctl %s --help", l.path())
}

// word takes a verb, a verb's own verb, or a name.
func (l *line) word(app *cli.App, word string) error {
	var err error
	switch {
	case l.verb == nil:
		l.verb, err = find(app.Commands, word, "unknown verb %q")
	case len(l.verb.Subcommands) > 0 && l.sub == nil:
		l.sub, err = find(l.verb.Subcommands, word, "unknown verb %q of "+l.verb.Name)
	default:
		l.words = append(l.words, word)
	}
	return err
}

func find(all []*cli.Command, word, wrong string) (*cli.Command, error) {
	for _, c := range all {
		if c.HasName(word) {
			return c, nil
		}
	}
	err := usagef(wrong, word)
	if near := cmp.Or(near(word, names(all)), meta.Suggest(strings.ToLower(word), names(all))); near != "" {
		return nil, usagef("%v; did you mean %q?", err, near)
	}
	return nil, try(err, "%s", cmp.Or(verbsElsewhere[word], "warrenctl help"))
}

func names(all []*cli.Command) []string {
	var out []string
	for _, c := range all {
		out = append(out, c.Name)
	}
	return out
}

// flag takes one flag, with its value from the arguments after it if it needs one, and returns the others.
func (l *line) flag(app *cli.App, arg string, rest []string) ([]string, error) {
	name, value, given := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	f, own := l.find(app, name)
	if f == nil && !strings.HasPrefix(arg, "--") && len(name) > 1 { // -ojson, -wf
		if f, own = l.find(app, name[:1]); f != nil {
			if _, single := f.(*cli.BoolFlag); single {
				rest = append([]string{"-" + strings.TrimPrefix(arg, "-"+name[:1])}, rest...)
			} else {
				value, given = strings.TrimPrefix(arg, "-"+name[:1]), true
			}
			name = name[:1]
		}
	}
	if f == nil {
		return nil, l.unknown(app, arg, name)
	}
	_, single := f.(*cli.BoolFlag)
	if !given && !single {
		if len(rest) == 0 {
			return nil, usagef("flag %s needs a value", arg)
		}
		value, given, rest = rest[0], true, rest[1:]
	}
	out := dashed(name)
	if given {
		out += "=" + value
	}
	if own {
		l.flags = append(l.flags, out)
	} else {
		l.global = append(l.global, out)
	}
	return rest, nil
}

func (l *line) find(app *cli.App, name string) (flag cli.Flag, own bool) {
	for _, f := range l.own() {
		if slices.Contains(f.Names(), name) {
			return f, true
		}
	}
	for _, f := range app.Flags {
		if slices.Contains(f.Names(), name) {
			return f, false
		}
	}
	return nil, false
}

func (l *line) own() []cli.Flag {
	if c := l.deepest(); c != nil {
		return c.Flags
	}
	return nil
}

func (l *line) unknown(app *cli.App, arg, name string) error {
	var all []string
	for _, f := range append(slices.Clone(l.own()), app.Flags...) {
		for _, n := range f.Names() {
			if len(n) > 1 {
				all = append(all, n)
			}
		}
	}
	verb, help := "", "warrenctl --help"
	if path := l.path(); path != "" {
		verb, help = " of "+path, "warrenctl "+path+" --help"
	}
	err := usagef("unknown flag %s%s", strings.SplitN(arg, "=", 2)[0], verb)
	if why := absent[name]; why != "" {
		return usagef("%v; %s", err, why)
	}
	if near := meta.Suggest(name, all); near != "" && len(name) > 1 {
		return usagef("%v; did you mean %q?", err, dashed(near))
	}
	return try(err, "%s", help)
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// flagSaid is how the cli package names a flag whose value it cannot read.
var flagSaid = regexp.MustCompile(` for (flag )?-(\S+?)(: .*)?$`)

// badValue words what the cli package says about a flag's value.
func badValue(_ *cli.Context, err error, _ bool) error {
	return usagef("%s", flagSaid.ReplaceAllString(err.Error(), " for flag --$2"))
}
