package warrenctl

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"
)

// right is one command line without a mistake for each verb. Those that ask a node are marked, so that the walks below can
// take the node away from them.
var right = map[string]struct {
	args string
	asks bool
}{
	"apply":                  {"-f FILE", true},
	"diff":                   {"-f FILE", true},
	"get":                    {"services", true},
	"describe":               {"service/web", true},
	"delete":                 {"service/web", true},
	"edit":                   {"service/web", true},
	"label":                  {"service/web a=b", true},
	"annotate":               {"service/web a=b", true},
	"scale":                  {"service/web=3", true},
	"restart":                {"service/web", true},
	"wait":                   {"service/web --for delete", true},
	"logs":                   {"web-1-1", true},
	"exec":                   {"web-1-1 -- echo", true},
	"cp":                     {"web-1-1:/etc/passwd OUT", true},
	"port-forward":           {"web-1-1 0:80", true},
	"top tasks":              {"--interval 1ms", true},
	"top nodes":              {"--interval 1ms", true},
	"events":                 {"", true},
	"audit":                  {"", true},
	"why":                    {"service/web", true},
	"graph":                  {"", true},
	"image import":           {"FILE", true},
	"image list":             {"", true},
	"image rm":               {"warren.io/hello:1", true},
	"image pin":              {"warren.io/hello:1", true},
	"image unpin":            {"warren.io/hello:1", true},
	"backup create":          {"-o OUT --passphrase-file FILE", true},
	"backup restore":         {"FILE --passphrase-file FILE", false},
	"backup verify":          {"FILE --passphrase-file FILE", false},
	"node cordon":            {"n1", true},
	"node uncordon":          {"n1", true},
	"node drain":             {"n1", true},
	"node rm":                {"n1", true},
	"node promote":           {"n1", true},
	"node demote":            {"n1", true},
	"cluster status":         {"", true},
	"cluster rotate-ca":      {"", true},
	"debug bundle":           {"-o OUT", true},
	"explain":                {"service", false},
	"schema":                 {"", false},
	"completion":             {"bash", false},
	"version":                {"", true},
	"help":                   {"", false},
	"token create":           {"--role worker", true},
	"token list":             {"", true},
	"token revoke":           {"abcd2345", true},
	"user list":              {"", true},
	"user set-role":          {"anna viewer", true},
	"user rm":                {"anna", true},
	"whoami":                 {"", true},
	"login":                  {"127.0.0.1:1 --token warren1.aaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaa", false},
	"config get-contexts":    {"", false},
	"config current-context": {"", false},
	"config use-context":     {"lab", false},
	"config set-context":     {"lab --servers h:1", false},
	"config delete-context":  {"lab", false},
}

// verbs calls f with each verb that does something, "get" or "image rm", and a right command line of it.
func verbs(t *testing.T, f func(t *testing.T, verb string, c *cli.Command, line []string)) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file.yaml")
	if err := os.WriteFile(file, []byte("apiVersion: warren.io/v1\nkind: Service\nmetadata: {name: web}\nspec: {image: 'a:1'}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	places := strings.NewReplacer("FILE", file, "OUT", filepath.Join(dir, "out"))
	var walk func(path string, all []*cli.Command)
	walk = func(path string, all []*cli.Command) {
		for _, c := range all {
			verb := strings.TrimSpace(path + " " + c.Name)
			if len(c.Subcommands) > 0 {
				walk(verb, c.Subcommands)
				continue
			}
			r, known := right[verb]
			if !known {
				t.Errorf("%s: who adds a verb puts a right command line of it into the table in mistakes_test.go", verb)
				continue
			}
			line := append(strings.Fields(verb), strings.Fields(places.Replace(r.args))...)
			t.Run(verb, func(t *testing.T) { f(t, verb, c, line) })
		}
	}
	walk("", (&program{}).app().Commands)
}

// outcome is how a call of warrenctl ended.
type outcome struct {
	code     int
	out, err string
}

// say runs warrenctl within this process.
func say(ctx context.Context, server string, args ...string) outcome {
	var out, err bytes.Buffer
	p := &program{in: strings.NewReader(""), out: &out, err: &err, now: func() time.Time { return noon }, getenv: func(name string) string {
		return map[string]string{"EDITOR": "true"}[name]
	}}
	code := p.main(ctx, append([]string{"--server", server}, args...))
	return outcome{code, out.String(), err.String()}
}

// jargon is what only those understand who know the libraries below, or what is no text at all.
var jargon = regexp.MustCompile(`goroutine|panic|runtime error|rpc error|desc =|code =|transport|preface|context (deadline|canceled)|\bEOF\b|%!|<nil>|0x[0-9a-f]{6}|\n\n|urfave|Incorrect Usage|flag provided`)

// clear fails unless an outcome is one clear line, with what to do next if it needs one, and nothing else.
func (o outcome) clear(t *testing.T, what string, code int, next bool, words ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(o.err, "\n"), "\n")
	switch {
	case o.code != code:
		t.Errorf("%s: exit code %d, want %d\n%s%s", what, o.code, code, o.out, o.err)
	case o.out != "":
		t.Errorf("%s: prints %q", what, o.out)
	case jargon.MatchString(o.err):
		t.Errorf("%s: is not for people: %s", what, o.err)
	case !strings.HasPrefix(lines[0], "warrenctl: ") || len(lines) > 2 || len(lines) == 2 && !strings.HasPrefix(lines[1], "try: "):
		t.Errorf("%s: is not one line, and what to try: %s", what, o.err)
	case next && len(lines) < 2 && !strings.Contains(o.err, "did you mean"):
		t.Errorf("%s: does not say what to do next: %s", what, o.err)
	}
	for _, w := range words {
		if !strings.Contains(o.err, w) {
			t.Errorf("%s: lacks %q: %s", what, w, o.err)
		}
	}
}

const nowhere = "unix:///nowhere/warren.sock"

// What is written wrongly is told before any node is asked: the one that is named here is not there.
func TestEveryVerbRefusesWhatIsWrittenWrongly(t *testing.T) {
	verbs(t, func(t *testing.T, verb string, c *cli.Command, line []string) {
		ask := func(args ...string) outcome { return say(t.Context(), nowhere, args...) }
		words := len(strings.Fields(verb))
		with := append(append([]string{}, line[:words]...), "--no-such-flag")
		ask(append(with, line[words:]...)...).clear(t, "unknown flag", codeUsage, true, "unknown flag --no-such-flag of "+verb, "try: warrenctl "+verb+" --help")
		for _, f := range c.Flags {
			name := f.Names()[0]
			if _, single := f.(*cli.BoolFlag); !single {
				ask(append(line[:words:words], "--"+name)...).clear(t, "--"+name+" without a value", codeUsage, false, "flag --"+name+" needs a value")
			}
			if len(name) > 4 {
				wrong := "--" + name[:2] + name[3:]
				ask(append(line[:words:words], wrong)...).clear(t, wrong, codeUsage, true, "unknown flag "+wrong, "did you mean")
			}
			switch f.(type) {
			case *cli.DurationFlag, *cli.IntFlag, *cli.BoolFlag:
				ask(append(line[:words:words], "--"+name+"=x y")...).clear(t, "--"+name+"='x y'", codeUsage, false, "--"+name, `"x y"`)
			}
		}
		for i := 1; i <= words; i++ { // a typing error in each word of the verb
			wrong := append([]string{}, line...)
			wrong[i-1] = wrong[i-1][:1] + "xq" + wrong[i-1][1:]
			ask(wrong...).clear(t, "unknown verb", codeUsage, true, "unknown verb ")
		}
	})
}

// A verb without anything says what it needs; those that need nothing refuse what is too much.
func TestEveryVerbSaysWhatItNeeds(t *testing.T) {
	verbs(t, func(t *testing.T, verb string, c *cli.Command, line []string) {
		words := strings.Fields(verb)
		if r := right[verb]; r.args != "" && !strings.HasPrefix(r.args, "--") && verb != "debug bundle" {
			say(t.Context(), nowhere, words...).clear(t, "nothing", codeUsage, true)
		}
		if c.ArgsUsage == "" {
			say(t.Context(), nowhere, append(line, "surplus")...).clear(t, "too much", codeUsage, true, "surplus")
		}
		for _, kind := range []string{"frobs/x", "servces/x", "service/", "/web", "service/a/b"} {
			switch verb {
			case "describe", "delete", "edit", "restart", "why", "get":
				say(t.Context(), nowhere, append(words, kind)...).clear(t, kind, codeUsage, false, strings.SplitN(kind, "/", 2)[0])
			case "label", "annotate":
				say(t.Context(), nowhere, append(words, kind, "a=b")...).clear(t, kind, codeUsage, false)
			case "wait":
				say(t.Context(), nowhere, append(words, kind, "--for", "delete")...).clear(t, kind, codeUsage, false)
			case "scale":
				say(t.Context(), nowhere, append(words, kind+"=3")...).clear(t, kind, codeUsage, false)
			case "events":
				say(t.Context(), nowhere, append(words, "--for", kind)...).clear(t, kind, codeUsage, false)
			}
		}
	})
}

// Whatever is wrong with the way to a node, each verb says it in the same words.
func TestEveryVerbWithoutANode(t *testing.T) {
	dir, err := os.MkdirTemp("", "wctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	dead := filepath.Join(dir, "dead.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close() // as after kill -9: the socket is there, and nobody behind it
	for name, x := range map[string]struct {
		server string
		code   int
		words  string
	}{
		"no socket":            {nowhere, codeFailed, "there is no such socket"},
		"nobody at the socket": {"unix://" + dead, codeFailed, "nobody listens there"},
		"nobody at the port":   {"127.0.0.1:1", codeFailed, "nobody listens there"},
		"no folder":            {"unix://" + dead + "/x/y", codeFailed, "cannot reach warren"},
		"elsewhere":            {"node.example.org:7070", codeUsage, "needs a certificate"},
		"no address":           {"nonsense", codeUsage, "write unix:///PATH or HOST:PORT"},
	} {
		t.Run(name, func(t *testing.T) {
			verbs(t, func(t *testing.T, verb string, c *cli.Command, line []string) {
				if !right[verb].asks {
					return
				}
				o := say(t.Context(), x.server, line...)
				if verb == "version" {
					o.out = strings.Replace(o.out, "warrenctl  "+Version+"\n", "", 1)
				}
				o.clear(t, name, x.code, name != "no address", x.words)
			})
		})
	}
}

// Nothing is there: each verb that names something says so.
func TestEveryVerbOnNothing(t *testing.T) {
	n := newLive(t, someLogs{})
	at := "unix://" + filepath.Join(n.dir, "warren.sock")
	verbs(t, func(t *testing.T, verb string, c *cli.Command, line []string) {
		switch verb {
		case "describe", "delete", "edit", "label", "annotate", "scale", "restart", "logs", "exec", "cp", "port-forward", "why":
			say(t.Context(), at, line...).clear(t, "nothing there", codeFailed, true, "not found", "try: warrenctl get ")
		}
	})
	if _, _, err := n.mem.List(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"nodes", "services", "tasks", "events", "clusters", "all"} {
		if o := say(t.Context(), at, "get", k); o.code != codeDone || o.out != "" || !strings.HasPrefix(o.err, "no ") {
			t.Errorf("get %s of nothing: %+v", k, o)
		}
	}

}

// Ctrl-C ends each verb that waits for a node that does not answer, with the code for it and no other word.
func TestEveryVerbEndsWhenInterrupted(t *testing.T) {
	dir, err := os.MkdirTemp("", "wctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	silent, err := net.Listen("unix", filepath.Join(dir, "silent.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	verbs(t, func(t *testing.T, verb string, c *cli.Command, line []string) {
		if !right[verb].asks || verb == "edit" { // in an editor Ctrl-C is for the editor
			return
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan outcome, 1)
		go func() { ended <- say(ctx, "unix://"+silent.Addr().String(), line...) }()
		conn, err := silent.Accept() // now it waits
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		stop()
		select {
		case o := <-ended:
			if o.code != codeInterrupted || o.err != "" {
				t.Errorf("interrupted: %+v", o)
			}
		case <-time.After(soon):
			t.Errorf("does not end when interrupted")
		}
	})
}
