package warrenctl

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/cmd/warrenctl/contexts"
)

// completeVerb is what the shells call: not for people.
const completeVerb = "__complete"

// fast is how long the node may take to tell names: who waits is typing.
var fast = 500 * time.Millisecond

// complete prints what the last word may become, one a line. It says nothing about anything that goes wrong.
func (p *program) complete(ctx context.Context, app *cli.App, words []string) int {
	if len(words) == 0 {
		words = []string{""}
	}
	ctx, cancel := context.WithTimeout(ctx, fast)
	defer cancel()
	t := &typed{p: p, ctx: ctx, app: app, last: words[len(words)-1]}
	for name, to := range map[string]*string{"WARREN_SERVER": &t.server, "WARREN_KEYS": &t.keys, "WARREN_CONTEXT": &t.context, "WARREN_CONFIG": &t.config} {
		*to = p.getenv(name)
	}
	t.read(words[:len(words)-1])
	for _, c := range t.candidates() {
		if strings.HasPrefix(c, t.last) {
			p.printf("%s\n", c)
		}
	}
	if p.conn != nil {
		_ = p.conn.Close()
	}
	return codeDone
}

// typed is a command line that is not finished.
type typed struct {
	p   *program
	ctx context.Context
	app *cli.App
	aim
	line line
	flag cli.Flag // whose value comes next
	last string   // the word that is completed
}

// read takes in the words before the last, as far as they make sense.
func (t *typed) read(words []string) {
	for _, w := range words {
		switch {
		case t.flag != nil:
			t.value(t.flag, w)
			t.flag = nil
		case len(w) > 1 && w[0] == '-':
			name, value, given := strings.Cut(strings.TrimLeft(w, "-"), "=")
			f, _ := t.line.find(t.app, name)
			if _, single := f.(*cli.BoolFlag); f == nil || single {
				continue
			}
			if given {
				t.value(f, value)
			} else {
				t.flag = f
			}
		default:
			_ = t.line.word(t.app, w)
		}
	}
}

func (t *typed) value(f cli.Flag, value string) {
	switch f.Names()[0] {
	case "server":
		t.server, t.aim.typed = value, true
	case "keys":
		t.keys = value
	case "context":
		t.context = value
	case "config":
		t.config = value
	}
}

func (t *typed) candidates() []string {
	switch verb := t.line.verb; {
	case t.flag != nil:
		return t.values(t.flag.Names()[0])
	case strings.HasPrefix(t.last, "-"):
		return t.flags()
	case verb == nil:
		return names(t.app.Commands)
	case len(verb.Subcommands) > 0 && t.line.sub == nil:
		return names(verb.Subcommands)
	}
	return t.words()
}

func (t *typed) flags() []string {
	var out []string
	for _, f := range append(slices.Clone(t.line.own()), t.app.Flags...) {
		out = append(out, "--"+f.Names()[0])
	}
	return append(out, "--help")
}

// values are those of a flag; files are left to the shell.
func (t *typed) values(flag string) []string {
	switch verb := t.verbName(); {
	case flag == "output" && verb == "get":
		return []string{"wide", "json", "yaml", "name", "jsonpath=", "custom-columns="}
	case flag == "output":
		return []string{"text", "dot"}
	case flag == "for" && verb == "wait":
		return []string{"condition=Available", "condition=Updated", "condition=Ready", "delete", "jsonpath="}
	case flag == "for" && t.verbName() == "audit":
		return t.slashed(v1.ServiceKind, v1.NodeKind)
	case flag == "for":
		return t.slashed(v1.ServiceKind, v1.TaskKind, v1.NodeKind)
	case flag == "role":
		return roles()
	case flag == "context":
		return t.contexts()
	case flag == "set":
		return t.sets()
	case flag == "sort-by", flag == "field-selector":
		return t.fields("", ".")
	}
	return nil
}

func (t *typed) verbName() string {
	if t.line.verb == nil {
		return ""
	}
	return t.line.verb.Name
}

// words are the candidates for what is neither verb nor flag.
func (t *typed) words() []string {
	first := len(t.line.words) == 0
	switch t.verbName() {
	case "get":
		if first {
			return append(t.kindsOrNames(), all, "images")
		}
		return t.kindsOrNames()
	case "describe", "delete", "wait", "label", "annotate":
		return t.kindsOrNames()
	case "edit", "restart", "scale":
		return t.slashed(v1.ServiceKind)
	case "node":
		return t.named(v1.NodeKind)
	case "logs":
		return append(t.named(v1.TaskKind), t.slashed(v1.ServiceKind)...)
	case "exec", "cp", "port-forward":
		return t.named(v1.TaskKind)
	case "explain":
		return t.explained()
	case "schema":
		return kindWords()
	case "completion":
		return []string{"bash", "zsh", "fish"}
	case "help":
		return append(topicNames(), names(t.app.Commands)...)
	}
	return nil
}

func kindWords() []string {
	var out []string
	for _, k := range v1.Kinds {
		out = append(out, k.Plural)
	}
	return out
}

// kindsOrNames are kinds, then the names of the kind that was written; or KIND/NAME from the slash on.
func (t *typed) kindsOrNames() []string {
	if word, _, slash := strings.Cut(t.last, "/"); slash {
		k, err := kindOf(word)
		if err != nil {
			return nil
		}
		var out []string
		for _, name := range t.named(k) {
			out = append(out, word+"/"+name)
		}
		return out
	}
	if len(t.line.words) == 0 || strings.Contains(t.line.words[0], "/") {
		return kindWords()
	}
	k, err := kindOf(t.line.words[0])
	if err != nil {
		return nil
	}
	return t.named(k)
}

func (t *typed) slashed(kinds ...*meta.Kind) []string {
	var out []string
	for _, k := range kinds {
		for _, name := range t.named(k) {
			out = append(out, lower(k.Name, name))
		}
	}
	return out
}

// objects are those of a kind that the node tells in time.
func (t *typed) objects(k *meta.Kind) []meta.Object {
	s, err := t.p.dial(t.aim)
	if err != nil {
		return nil
	}
	all, _, err := s.Only(k.Name).List(t.ctx)
	if err != nil {
		return nil
	}
	return sorted(k, all)
}

func (t *typed) named(k *meta.Kind) []string {
	var out []string
	for _, o := range t.objects(k) {
		out = append(out, o.Meta().Name)
	}
	return out
}

// sets are the names of those that anything was applied with.
func (t *typed) sets() []string {
	seen := map[string]bool{}
	for _, o := range t.objects(v1.ServiceKind) {
		if set := setOf(o); set != "" {
			seen[set] = true
		}
	}
	return meta.SortedKeys(seen)
}

// explained are kinds, then from the dot on their fields.
func (t *typed) explained() []string {
	kind, _, dot := strings.Cut(t.last, ".")
	if dot {
		return t.fields(kind, "")
	}
	var out []string
	for _, k := range v1.Kinds {
		out = append(out, strings.ToLower(k.Name))
	}
	return out
}

// fields are the paths of a kind's fields one level below what is written, with a dot where there are more below.
func (t *typed) fields(kind, before string) []string {
	word := kind
	if word == "" && len(t.line.words) > 0 {
		word, _, _ = strings.Cut(t.line.words[0], "/")
	}
	k, err := kindOf(word)
	if err != nil {
		return nil
	}
	path := t.last[:strings.LastIndex(t.last, ".")+1]
	inner := strings.TrimPrefix(strings.TrimPrefix(path, kind), ".")
	f, _, err := fieldOf(strings.TrimSuffix(k.Name+"."+inner, "."))
	if err != nil {
		return nil
	}
	for f.Item != nil {
		f = f.Item
	}
	if path == "" {
		path = before
	}
	var out []string
	for _, x := range f.Fields {
		name := path + x.Name
		if out = append(out, name); len(x.Fields) > 0 || x.Item != nil && len(x.Item.Fields) > 0 {
			out = append(out, name+".")
		}
	}
	return out
}

// contexts are the names of what was logged in to.
func (t *typed) contexts() (out []string) {
	path, err := t.p.configPath(t.aim)
	if err != nil {
		return nil
	}
	cfg, _ := contexts.Load(path)
	for _, x := range cfg.Contexts {
		out = append(out, x.Name)
	}
	return out
}
