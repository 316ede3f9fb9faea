package warrenctl

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
)

// commandsIn finds the commands in a text: what stands between `warrenctl ` and the end of the line, a quote, a pipe, a
// file or a remark.
func commandsIn(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		for _, part := range strings.Split(line, "warrenctl ")[1:] {
			if i := strings.IndexAny(part, "`\n|>;)"); i >= 0 {
				part = part[:i]
			}
			part, _, _ = strings.Cut(part, "   ")
			verb, _, _ := strings.Cut(strings.TrimRight(part, ",. "), " ")
			if slices.Contains(names((&program{}).app().Commands), verb) {
				out = append(out, strings.TrimRight(part, ",. "))
			}
		}
	}
	return out
}

// The commands of every help topic, in their order, do what the topic says on a cluster whose controllers work at once.
func TestHelpRuns(t *testing.T) {
	Version = "0.1.0"
	dir := t.TempDir()
	for _, topic := range topicNames() {
		text, err := topics.ReadFile("help/" + topic + ".md")
		if err != nil {
			t.Fatal(err)
		}
		script := "put cluster.json settings.json authority.json\nmkdir manifests\ncp stack.yaml manifests/stack.yaml\nsettles\nfar\ninvites operator anna\nenv WARREN_CONFIG=$WORK/config.yaml\n"
		for _, c := range commandsIn(string(text)) {
			script += "helps " + c + "\n"
		}
		start, err := topics.ReadFile("help/start.md")
		if err != nil {
			t.Fatal(err)
		}
		script += "-- stack.yaml --\n" + manifestIn(string(start)) + "-- hello.tar --\narchive\n-- passphrase --\ncorrect horse battery\n" +
			`-- settings.json --` + "\n" + `{"apiVersion":"warren.io/v1","kind":"Cluster","metadata":{"name":"warren"},"spec":{"id":"X"}}` + "\n" +
			`-- authority.json --` + "\n" + `{"apiVersion":"warren.io/v1","kind":"Authority","metadata":{"name":"cluster"},"spec":{"certificate":"PEM"}}` + "\n"
		if err := os.WriteFile(filepath.Join(dir, topic+".txtar"), []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, testscript.Params{Dir: dir, Setup: setup, Cmds: map[string]func(*testscript.TestScript, bool, []string){
		"put": put, "settles": settles, "helps": helps, "far": far, "invites": invites,
	}})
}

// goesOn are the flags of commands that end only when they are interrupted.
var goesOn = []string{"-w", "--watch", "--follow", "drain", "rotate-ca"}

// helps runs one command of a help text with the names of the demo cluster in it.
func helps(ts *testscript.TestScript, _ bool, args []string) {
	endless := false
	for i, a := range args {
		a = strings.NewReplacer("task/NAME", "task/web-1-1", "node/NAME", "node/n1", "/NAME", "/web", "NAME", "web", "/etc/warren/manifests", "manifests", "192.0.2.1:7070", ts.Getenv("FAR"), "TOKEN", ts.Getenv("TOKEN")).Replace(a)
		if a == "ID" {
			a = "abcd2345"
		}
		if _, err := os.Stat(ts.MkAbs(a)); err == nil && a != "" && args[i-1] != "--set" {
			a = ts.MkAbs(a)
		}
		if i > 0 && args[i-1] == "-o" && (strings.HasSuffix(a, ".gz") || strings.HasSuffix(a, ".backup")) {
			a = ts.MkAbs(a)
		}
		if args[i] = a; slices.Contains(goesOn, a) || a == "-f" && args[0] == "logs" || a == "port-forward" {
			endless = true
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, errs := ts.Stdout(), ts.Stderr()
	if endless {
		out, errs = &enough{out, cancel}, &enough{errs, cancel}
		defer time.AfterFunc(time.Second, cancel).Stop() // there may be nothing to say
	}
	environment := func(name string) string {
		if name == "EDITOR" {
			return "sed -i s/replicas:.*/replicas:\\ 2/"
		}
		return ts.Getenv(name)
	}
	p := &program{in: strings.NewReader("archive"), out: out, err: errs, now: func() time.Time { return noon }, getenv: environment}
	code := p.main(ctx, append([]string{"--server", ts.Getenv("WARREN_SERVER")}, args...))
	if interrupted := code == codeInterrupted && endless; code != codeDone && code != codeNo && !interrupted {
		ts.Fatalf("exit code %d", code)
	}
}

// enough interrupts a command that has no end by itself when it has said something.
type enough struct {
	io.Writer
	interrupt func()
}

func (e *enough) Write(b []byte) (int, error) {
	defer e.interrupt()
	return e.Writer.Write(b)
}

// settles stands in for the controllers: every service has its tasks at once, and a deleted one has none.
func settles(ts *testscript.TestScript, _ bool, _ []string) {
	mem := ts.Value("node").(*node).mem
	ctx, stop := context.WithCancel(context.Background())
	ts.Defer(stop)
	_, revision, err := mem.List(ctx)
	ts.Check(err)
	go func() {
		for b := range mem.Watch(ctx, revision) {
			for _, c := range b.Changes {
				settle(ctx, mem, c)
			}
		}
	}()
}

func settle(ctx context.Context, mem *memstore.Store, c store.Change) {
	s, ok := c.Object.(*v1.Service)
	hash := ""
	if ok {
		hash = v1.TemplateHash(s)
	}
	switch {
	case c.Key.Kind == "Service" && c.Object == nil:
		all, _, _ := mem.List(ctx)
		for _, o := range all {
			if t, ok := o.(*v1.Task); ok && t.Spec.Service == c.Key.Name {
				_, _ = mem.Commit(ctx, store.DeleteOp(t))
			}
		}
	case ok && (s.Status.ObservedGeneration != s.Metadata.Generation || s.Status.Image.Template != hash):
		s = s.Clone().(*v1.Service)
		n := 1
		if s.Spec.Replicas != nil {
			n = *s.Spec.Replicas
		}
		s.Status = v1.ServiceStatus{ObservedGeneration: s.Metadata.Generation, Desired: n, Tasks: n, Updated: n, Ready: n, Image: v1.ServiceImage{Template: hash},
			Conditions: meta.Conditions{{Type: v1.ConditionAvailable, Status: meta.True}}}
		_, _ = mem.Commit(ctx, store.UpdateOp(s)) // a conflict brings another change
	}
}

func TestCommandsIn(t *testing.T) {
	got := commandsIn("  warrenctl get all     # remark\n  docker save x | warrenctl image import -\nwarrenctl talks. See `warrenctl logs NAME`.\n  warrenctl schema > x\nwarrenctl help a, warrenctl help b\n")
	want := []string{"get all", "image import -", "logs NAME", "schema", "help a", "help b"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q", got)
	}
}
