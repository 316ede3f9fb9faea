package warrenctl

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// proven are the verbs and flags that no script can use, and the test that shows what each of them does instead.
var proven = map[string]string{
	"top tasks --node":    farAway,
	"top nodes --node":    farAway,
	"image import --node": farAway,
	"image list --node":   farAway,
	"image pin --node":    farAway,
	"image unpin --node":  farAway,
	"image rm --node":     farAway,
}

// farAway asks a manager for what is on another machine.
const farAway = "e2e/cluster/cluster_e2e_test.go:TestWorkers"

// Every verb and every flag, by each of its names, is used by a script that looks at what comes of it. Whoever adds one adds
// a script to testdata, which says what it prints.
func TestEveryVerbAndFlagHasAScript(t *testing.T) {
	used := map[string]bool{}
	for _, pattern := range []string{"testdata/*.txtar", "../../e2e/node/testdata/*.txtar"} {
		scripts, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range scripts {
			text, err := os.ReadFile(s)
			if err != nil {
				t.Fatal(err)
			}
			usedBy(string(text), used)
		}
	}
	for _, name := range everyVerbAndFlag((&program{}).app()) {
		test := proven[name]
		switch {
		case used[name] && test != "":
			t.Errorf("%s: a script uses it; take it out of proven in covered_test.go", name)
		case test != "":
			if err := exists(test, name); err != "" {
				t.Errorf("%s: proven by %s: %s", name, test, err)
			}
		case !used[name]:
			t.Errorf("%s: no script uses it and looks at what it prints. Whoever adds a verb or a flag adds that to a script in cmd/warrenctl/testdata "+
				"(outputs are filled in by `go test ./cmd/warrenctl -run TestScripts -update`), or names the test that shows its effect in proven, covered_test.go", name)
		}
	}
}

// everyVerbAndFlag are all of them as people write them: "get", "get -o", "image rm", "--server".
func everyVerbAndFlag(app *cli.App) []string {
	var out []string
	for _, f := range app.Flags {
		for _, n := range f.Names() {
			out = append(out, dashed(n))
		}
	}
	return append(out, below("", app.Commands)...)
}

func below(path string, all []*cli.Command) []string {
	var out []string
	for _, c := range all {
		for _, n := range c.Names() {
			out = append(out, path+n)
		}
		for _, f := range c.Flags {
			for _, n := range f.Names() {
				out = append(out, path+c.Name+" "+dashed(n))
			}
		}
		out = append(out, below(path+c.Name+" ", c.Subcommands)...)
	}
	return out
}

// looks are the commands of scripts that look at what the command before them did.
var looks = regexp.MustCompile(`^(! )?(cmp|stdout|stderr|exists|grep|shows) `)

// usedBy marks what a script uses: not what is only refused as wrongly written, nor what nobody looks at.
func usedBy(script string, used map[string]bool) {
	script, _, _ = strings.Cut(script, "\n-- ")
	var last []string
	for l := range strings.Lines(script) {
		words := wordsOf(l)
		switch {
		case looks.MatchString(l):
			for _, name := range last {
				used[name] = true
			}
		case len(words) > 0 && (words[0] == "warrenctl" || words[0] == "begins"):
			last = namesIn(words[1:])
		case len(words) > 2 && words[0] == "exits" && words[1] != "2":
			last = namesIn(words[2:])
		default:
			last = nil
		}
	}
}

// wordsOf splits a line of a script as testscript does, but for what is between quotes.
func wordsOf(l string) []string {
	l, _, _ = strings.Cut(l, " #")
	words := strings.Fields(l)
	for i, w := range words {
		words[i] = strings.Trim(w, "'")
	}
	return words
}

// namesIn are the verbs and flags of one command line, by the names that are used in it.
func namesIn(words []string) []string {
	if len(words) > 1 && words[0] == "<" {
		words = words[2:]
	}
	app := (&program{}).app()
	l, err := arrange(app, words)
	if err != nil || l.verb == nil {
		return nil
	}
	verb, path := slices.IndexFunc(words, l.verb.HasName), l.verb.Name
	out := []string{words[verb]}
	if l.sub != nil {
		sub := slices.IndexFunc(words[verb+1:], l.sub.HasName)
		out = append(out, path+" "+words[verb+1+sub])
		path += " " + l.sub.Name
	}
	if l.help {
		return out // which explains flags and uses none
	}
	for _, f := range l.flags {
		name, _, _ := strings.Cut(f, "=")
		out = append(out, path+" "+name)
	}
	for _, f := range l.global {
		name, _, _ := strings.Cut(f, "=")
		out = append(out, name)
	}
	return out
}

// exists says what is wrong with FILE:TEST as the proof of a flag: there has to be such a test, and the flag in that file.
func exists(test, name string) string {
	file, function, _ := strings.Cut(test, ":")
	text, err := os.ReadFile(filepath.Join("../..", file))
	if err != nil {
		return err.Error()
	}
	words := strings.Fields(name)
	switch {
	case !strings.Contains(string(text), "func "+function+"(t *testing.T)"):
		return "there is no such test"
	case !strings.Contains(string(text), `"`+words[len(words)-1]):
		return "that file does not use it"
	}
	return ""
}

func TestUsedBy(t *testing.T) {
	used := map[string]bool{}
	usedBy(`warrenctl get svc -ojson --watch=true # remark
cmp stdout x
exits 3 < in image ls -o wide
stderr 'x'
exits 2 delete x
cmp stderr x
warrenctl apply -f x
-- x --
warrenctl scale x
`, used)
	for name, want := range map[string]bool{"get": true, "get -o": true, "get --watch": true, "get --output": false, "delete": false, "apply": false, "scale": false} {
		if used[name] != want {
			t.Errorf("%s: %v", name, used[name])
		}
	}
}
