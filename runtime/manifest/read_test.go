package manifest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	web = "apiVersion: warren.io/v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  image: a:1\n"
	api = "apiVersion: warren.io/v1\nkind: Service\nmetadata:\n  name: api\nspec:\n  image: a:1\n"
)

// tree writes files below a new directory and goes there, so that messages have short names.
func tree(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// keys lists what was read: Service/web at a.yaml:1.
func keys(docs []Document) string {
	var out []string
	for _, d := range docs {
		out = append(out, fmt.Sprintf("%s at %s:%d", d.Object.Key(), d.File, d.Line))
	}
	return strings.Join(out, ", ")
}

func TestReadForms(t *testing.T) {
	list := `{"apiVersion":"warren.io/v1","kind":"List","items":[{"apiVersion":"warren.io/v1","kind":"Service","metadata":{"name":"web"},"spec":{"image":"a"}}]}`
	for _, c := range []struct{ name, in, want string }{
		{"one", web, "Service/web at stdin:1"},
		{"two", web + "---\n" + api, "Service/web at stdin:1, Service/api at stdin:8"},
		{"markers all over", "---\n---\n# nothing\n---\n" + web + "...\n---\n---\n" + api + "---\n", "Service/web at stdin:5, Service/api at stdin:14"},
		{"marker with content", "--- {apiVersion: warren.io/v1, kind: Service, metadata: {name: web}, spec: {image: a}}\n", "Service/web at stdin:1"},
		{"directive", "%YAML 1.1\n---\n" + web, "Service/web at stdin:3"},
		{"CRLF", strings.ReplaceAll(web+"---\n"+api, "\n", "\r\n"), "Service/web at stdin:1, Service/api at stdin:8"},
		{"BOM", "\xef\xbb\xbf" + web, "Service/web at stdin:1"},
		{"marker in a text", web + "  args:\n  - |\n    --- not one\n    ...\n", "Service/web at stdin:1"},
		{"JSON", list[44+8 : len(list)-2], "Service/web at stdin:1"},
		{"JSON with tabs", strings.ReplaceAll(list, ",", ",\n\t\t"), "Service/web at stdin:3"},
		{"JSON list", list, "Service/web at stdin:1"},
		{"JSON escapes", strings.Replace(list[52:len(list)-2], `"a"`, `"a","env":{"A":"\ud83d\ude00"}`, 1), "Service/web at stdin:1"},
		{"anchor and merge", web + "  env: &e {A: b}\n  labels:\n    <<: [*e, {C: d}]\n", "Service/web at stdin:1"},
		{"pasted from get", web + "status: {ready: 3}\n", "Service/web at stdin:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			docs, err := Read(strings.NewReader(c.in), "-")
			if err != nil {
				t.Fatal(err)
			}
			if got := keys(docs); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestReadProblems(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"text", "hello\n", `stdin:1: the document is the text "hello"; a map with apiVersion, kind, metadata and spec is expected`},
		{"list", "- a\n", "stdin:1: the document is a list; a map with apiVersion, kind, metadata and spec is expected"},
		{"null", "~\n", "stdin:1: the document is empty; a map with apiVersion, kind, metadata and spec is expected"},
		{"missing image", "apiVersion: warren.io/v1\nkind: Service\nmetadata: {name: a}\n", "stdin:1: Service/a: spec.image: is required, e.g. registry.example.org/web:1.2"},
		{"missing name", "apiVersion: warren.io/v1\nkind: Service\nmetadata:\n  labels: {}\nspec: {image: a}\n", "stdin:3: Service: metadata.name: is required"},
		{"each document", "a: [\n---\n" + web + "  replicas: x\n---\n}\n", "stdin:1: is no YAML: did not find expected node content\n" +
			"stdin:9: Service/web: spec.replicas: is the text \"x\"; a whole number is expected\nstdin:11: is no YAML: did not find expected node content"},
		{"twice", web + "---\n" + web, "stdin:8: Service/web: is given twice; the first is in stdin:1"},
		{"derived kind", "apiVersion: warren.io/v1\nkind: Task\nmetadata: {name: a}\nspec: {image: a, service: b}\n", "stdin:2: Task/a: kind: tasks are made by the cluster itself, not written in manifests"},
		{"not UTF-8", web + "  user: \xff\n", "stdin:7: is no text in UTF-8"},
		{"zero byte", web + "\x00", "stdin:7: is no text in UTF-8"},
		{"UTF-16", "\xff\xfea\x00", "stdin:1: is UTF-16; save it as UTF-8"},
		{"control character", web + "  user: \x01\n", "stdin:1: is no YAML: control characters are not allowed"},
		{"other anchor", web + "  args: &x [a]\n---\n" + api + "  args: *x\n", "stdin:15: is no YAML: unknown anchor 'x' referenced"},
		{"deep", web + "  args: " + strings.Repeat("[", 100) + strings.Repeat("]", 100), "stdin:7: is nested more than 64 levels deep"},
		{"very deep", strings.Repeat("[", 50000), "stdin:1: is no YAML: exceeded max depth of 10000"},
		{"large", strings.Repeat("# comment\n", MaxFile/10+1), "stdin:1: is larger than 1Mi"},
		{"many documents", strings.Repeat("---\na\n", MaxDocuments+1), "stdin:1: holds 1001 documents; at most 1000 are read"},
		{"items in a list", "kind: List\nitems:\n- kind: Servic\n  apiVersion: warren.io/v1\n", `stdin:3: kind: unknown kind "Servic"; did you mean 'Service'?`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := problemsOf(t, c.in); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// Aliases of aliases must not be expanded without bound, nor '<<' of '<<'.
func TestReadBoundsAliases(t *testing.T) {
	for _, form := range []string{"a%d: &a%d [%s]\n", "a%d: &a%d {<<: [%s]}\n"} {
		text := "a0: &a0 {x: y}\n"
		for i := 1; i < 40; i++ {
			text += fmt.Sprintf(form, i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), ","))
		}
		start := time.Now()
		if got := problemsOf(t, "kind: Service\n"+text); !strings.Contains(got, "is too large") {
			t.Errorf("got %.200s", got)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("took %s", d)
		}
	}
}

func TestReadShowsTheFirstFifty(t *testing.T) {
	var text strings.Builder
	for i := range 70 {
		fmt.Fprintf(&text, "%s  replcias: %d\n---\n", strings.Replace(web, "web", fmt.Sprintf("web-%d", i), 1), i)
	}
	got := strings.Split(problemsOf(t, text.String()), "\n")
	if len(got) != MaxShown+1 || got[MaxShown] != "and 20 more problems" {
		t.Errorf("%d lines, the last is %q", len(got), got[len(got)-1])
	}
}

func TestReadDirectory(t *testing.T) {
	tree(t, map[string]string{
		"d/b.yaml": web, "d/a.yml": api, "d/c.json": "", "d/.hidden.yaml": "x", "d/#x.yaml": "x", "d/.#b.yaml": "x",
		"d/b.yaml~": "x", "d/b.yaml.swp": "x", "d/README.md": "x", "d/sub/d.yaml": "x", "d/sub.yaml/x": "x",
	})
	docs, err := Read(nil, "d")
	if err != nil {
		t.Fatal(err)
	}
	if got := keys(docs); got != "Service/api at d/a.yml:1, Service/web at d/b.yaml:1" {
		t.Errorf("got %s", got)
	}
}

func TestReadSources(t *testing.T) {
	tree(t, map[string]string{"a.yaml": web, "b.yaml": web + "  x: y\n", "only/README": "", "empty.yaml": "# nothing\n"})
	if err := os.Symlink("nowhere", "only/dead.yaml"); err != nil {
		t.Fatal(err)
	}
	_, err := Read(strings.NewReader(api+"  replicas: -1\n"), "a.yaml", "b.yaml", "-", "missing", "only", "empty.yaml")
	want := []string{
		"b.yaml:7: Service/web: spec.x: unknown field; there are args, ",
		"stdin:7: Service/api: spec.replicas: -1 is out of range; 0 to 10000 are allowed",
		"missing: no such file or directory",
		"only/dead.yaml: no such file or directory",
	}
	got := strings.Split(fmt.Sprint(err), "\n")
	if len(got) != len(want) {
		t.Fatalf("got %q", got)
	}
	for i, w := range want {
		if !strings.HasPrefix(got[i], w) {
			t.Errorf("got %q, want %q", got[i], w)
		}
	}
	if _, err = Read(nil, "a.yaml", "./a.yaml"); err == nil || err.Error() != "./a.yaml:1: Service/web: is given twice; the first is in a.yaml:1" {
		t.Errorf("got %v", err)
	}
	if _, err := Read(nil, "empty.yaml"); !errors.Is(err, ErrEmpty) || err.Error() != "empty.yaml: holds no objects" {
		t.Errorf("got %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(web + "---\n" + api))
	f.Add([]byte(web + "  env: &e {A: b}\n  labels:\n    <<: [*e, {C: d}]\n"))
	f.Add([]byte("kind: List\nitems:\n- kind: Service\n"))
	f.Add([]byte(" \r00"))
	f.Add([]byte("%YAML 1.1\r\n--- |\r\n\tx\r\n...\r\n"))
	f.Add([]byte(`{"apiVersion":"warren.io/v1","kind":"Service","metadata":{"name":"web"},"spec":{"image":"a","env":["A=\ud83d"]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, err := Read(strings.NewReader(string(data)), "-")
		var p *Problems
		switch {
		case err == nil && len(docs) == 0:
			t.Fatal("neither objects nor an error")
		case errors.As(err, &p):
			last := strings.Count(string(data), "\n") + 1
			for _, x := range p.List {
				if x.Line > last || x.Reason == "" || strings.Contains(x.String(), "%!") && !strings.Contains(string(data), "%") {
					t.Fatalf("line %d of %d: %s", x.Line, last, x)
				}
			}
		}
	})
}
