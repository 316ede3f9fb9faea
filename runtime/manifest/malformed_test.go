package manifest

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what is reported now into testdata")

const head = "apiVersion: warren.io/v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  image: a:1\n"

// Each line of testdata/spec.txt is a malformed part of a spec, then what has to be reported. In it \n, \t and \\ stand
// for a line break, a tab and a backslash.
func TestMalformedSpecs(t *testing.T) {
	lines := readLines(t, "spec.txt")
	unescape := strings.NewReplacer(`\n`, "\n  ", `\t`, "\t", `\\`, `\`)
	for i, line := range lines {
		in, want, _ := strings.Cut(line, " => ")
		text := head + "  " + unescape.Replace(in) + "\n"
		got := strings.ReplaceAll(problemsOf(t, text), "\n", " && ")
		if *update {
			lines[i] = in + " => " + got
		} else if got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
	if *update {
		writeLines(t, "spec.txt", lines)
	}
	if len(lines) < 200 {
		t.Errorf("%d malformed manifests; 200 are promised", len(lines))
	}
}

// problemsOf reads a text that must be wrong, in lines that exist.
func problemsOf(t *testing.T, text string) string {
	t.Helper()
	docs, err := Read(strings.NewReader(text), "-")
	var p *Problems
	if !errors.As(err, &p) {
		t.Fatalf("no problems, but %d documents and error %v in\n%s", len(docs), err, text)
	}
	if len(docs) > 0 {
		t.Fatalf("documents beside problems in\n%s", text)
	}
	last := strings.Count(text, "\n") + 1
	for _, x := range p.List {
		if x.Line < 1 || x.Line > last {
			t.Errorf("line %d of %d: %s", x.Line, last, x)
		}
		if strings.HasPrefix(x.Reason, "is no YAML: yaml:") || x.Reason == "" {
			t.Errorf("no reason for people: %s", x)
		}
	}
	return err.Error()
}

func readLines(t *testing.T, name string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

func writeLines(t *testing.T, name string, lines []string) {
	t.Helper()
	data := []byte(strings.Join(lines, "\n") + "\n")
	if err := os.WriteFile(filepath.Join("testdata", name), bytes.TrimLeft(data, "\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}
