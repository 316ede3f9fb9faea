package warrenctl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/manifest"
)

func TestTable(t *testing.T) {
	var b bytes.Buffer
	table{{"NAME", "WHAT", "LAST"}, {"größe", "", "x"}, {"a", "two\nlines\x1b[31m", ""}}.print(&b)
	want := "NAME    WHAT             LAST\ngröße   -                x\na       two lines [31m   -\n"
	if got := b.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// What get prints is read back as the same, whatever is in it.
func FuzzPrintAndRead(f *testing.F) {
	for _, s := range []string{"", "yes", "null", "~", "0x10", "010", "1e3", "1_000", "2001-01-01", "a: b", "- a", "#", "%x", "@", "&a", "*a", "!!int 1",
		"two\nlines\n", " lead", "trail ", "\ttab", "\r\n", "\u0085", "\u2028", "\ufeff", "\U0001f600", "\"'", "{", "]", "...", "---\n", "<<", "=", "\x7f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if strings.ContainsRune(value, 0) || strings.ToValidUTF8(value, "") != value {
			return // not allowed in a variable, or changed by JSON already
		}
		s := meta.New[v1.Service]("web")
		s.Spec.Image, s.Spec.Args = "a:1", []string{value}
		s.Spec.Env = v1.Env{{Name: "A", Value: value}}
		s.Metadata.Annotations = map[string]string{"a": value}
		s.SetDefaults()
		asYAML, err := manifest.YAML(s)
		if err != nil {
			t.Fatal(err)
		}
		var asJSON bytes.Buffer
		if err := writeJSON(&asJSON, []meta.Object{s}, false); err != nil {
			t.Fatal(err)
		}
		for _, text := range [][]byte{asYAML, asJSON.Bytes()} {
			docs, err := manifest.Read(bytes.NewReader(text), "-")
			if err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
			if d := meta.Diff(s, docs[0].Object); len(d) > 0 {
				t.Fatalf("%q differs in %s after\n%s", value, d, text)
			}
		}
	})
}

// Every command in the help is one with flags that exist; TestHelpRuns runs them.
func TestHelpIsTrue(t *testing.T) {
	for _, name := range topicNames() {
		text, err := topics.ReadFile("help/" + name + ".md")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if len(line) > 125 {
				t.Errorf("help %s: too wide: %s", name, line)
			}
		}
		for _, c := range commandsIn(string(text)) {
			if _, err := arrange((&program{}).app(), strings.Fields(c)); err != nil {
				t.Errorf("help %s: warrenctl %s: %v", name, c, err)
			}
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestOutputIsFull(t *testing.T) {
	var stderr bytes.Buffer
	p := &program{out: full{}, err: &stderr, now: time.Now}
	if code := p.main(context.Background(), []string{"help"}); code != codeFailed || stderr.String() != "warrenctl: print: no space left on device\n" {
		t.Errorf("exit code %d: %s", code, &stderr)
	}
}

// Flags stand where people put them.
func TestArrange(t *testing.T) {
	for in, want := range map[string]string{
		"get services -o json":                    "x get -o=json -- services",
		"get -ojson services":                     "x get -o=json -- services",
		"get services -wo wide":                   "x get -w -o=wide -- services",
		"--server a get services --server=b":      "x --server=a --server=b get -- services",
		"apply -f a -f - --dry-run":               "x apply -f=a -f=- --dry-run --",
		"image rm a -- -b":                        "x image rm -- a -b",
		"get services -l a=b,c!=d":                "x get -l=a=b,c!=d -- services",
		"logs -f web --tail 5":                    "x logs -f --tail=5 -- web",
		"scale service/web --replicas 3 --server": "error: flag --server needs a value",
	} {
		l, err := arrange((&program{}).app(), strings.Fields(in))
		got := ""
		if err != nil {
			got = "error: " + err.Error()
		} else {
			got = strings.TrimSpace(strings.Join(l.args("x"), " "))
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func FuzzArrange(f *testing.F) {
	f.Add("get services -o json")
	f.Add("- -- --- -= --= -f= image -- a")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := arrange((&program{}).app(), strings.Fields(text))
		if (l == nil) == (err == nil) {
			t.Fatalf("%v, %v", l, err)
		}
	})
}

// A list is written piece by piece; it must be what the json package writes of the whole.
func TestJSONOfAList(t *testing.T) {
	for n := range 3 {
		all := []meta.Object{}
		for i := range n {
			o := meta.New[v1.Service](fmt.Sprintf("web-%d", i))
			o.Spec.Args = []string{"<a>", "b"}
			all = append(all, o)
		}
		var got, want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := errors.Join(writeJSON(&got, all, false), enc.Encode(listOf(all))); err != nil {
			t.Fatal(err)
		}
		if got.String() != want.String() {
			t.Errorf("%d objects:\n%s\nwant\n%s", n, &got, &want)
		}
	}
}
