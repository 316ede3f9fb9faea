package jsonpath

import (
	"encoding/json"
	"strings"
	"testing"
)

const text = `{"a":{"b":[{"c":1,"n":"x"},{"c":2,"n":"y"},{"n":"z","l":[7,8]}],"k.d/e":"dotted","m":"64Mi","t":true},"z":null}`

func document(t testing.TB) any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var doc any
	if err := dec.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestTemplate(t *testing.T) {
	doc := document(t)
	for in, want := range map[string]string{
		"plain":                              "plain",
		"{.a.b[0].c}":                        "1",
		"{$.a.b[0].c}":                       "1",
		"{ .a.b[*].c }":                      "1 2",
		"{.a.b.*.n}":                         "x y z",
		"{.a.b[-1].n}{.a.b[9].n}":            "z",
		"{.a.b[1:].n}{'|'}{.a.b[:-1].n}":     "y z|x y",
		"{.a.b[5:1].n}":                      "",
		`{.a.k\.d/e}{.a['k.d/e']}`:           "dotteddotted",
		`{.a["m",'t']}`:                      "64Mi true",
		"{..l}{..c}":                         "[7,8]1 2",
		`{.a.b[?(@.n=="y")].c}`:              "2",
		`{.a.b[?(@.n!='y')].n}`:              "x z",
		"{.a.b[?(@.c)].n}":                   "x y",
		"{.a.b[?(@.c>1)].n}":                 "y",
		"{.a.b[?( @.c >= $.a.b[0].c )].n}":   "x y",
		"{.a.b[?(@.c!=1)].n}":                "y z",
		"{.a[?(@==true)]}":                   "true",
		`{range .a.b[*]}{.n}{"\n"}{end}.`:    "x\ny\nz\n.",
		"{range .a.b[*]}{@.n}={$.a.t} {end}": "x=true y=true z=true ",
		"{range .a.b[*]}{range .l[*]}{.}{';'}{end}{end}": "7;8;",
		"{.none}{.a.t.none}{.a.b.c}":                     "",
		"{.z}":                                           "null",
		`{"\"\t{}"}`:                                     "\"\t{}",
	} {
		tmpl, err := Parse(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		var b strings.Builder
		if err := tmpl.Write(&b, doc); err != nil || b.String() != want {
			t.Errorf("%s: got %q, %v; want %q", in, b.String(), err, want)
		}
	}
}

func TestMistakes(t *testing.T) {
	for in, want := range map[string]string{
		"{":                    "a path is expected after {",
		"{}":                   "a path is expected after {",
		"{.a":                  "a } is missing",
		"{.a b}":               `"b}" is not understood`,
		"{.a[}":                "is not understood; write [*]",
		"{.a[x]}":              "[x] is not understood",
		"{.a[1:2:3]}":          "is not understood",
		"{.a['x]}":             "does not end",
		"{.a[*}":               "a ] is missing",
		"{.a[?(@.x=)]}":        "in a filter is not understood",
		"{.a[?(x==1)]}":        `"x" in a filter is not understood`,
		"{.a[?(@.x==1 && 2)]}": `"&& 2)]}" in a filter is not understood`,
		"{range .a}":           "{range} without {end}",
		"{end}":                "{end} without {range}",
		"{.a..}":               "the name of a field is expected",
		`{"a\q"}`:              "is no text in quotes",
	} {
		_, err := Parse(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", in, err, want)
		}
	}
	for in, want := range map[string]string{"": "a path is expected", ".": "a path is expected", "a b": `" b" is too much`} {
		if _, err := ParsePath(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("path %q: got %v, want %s", in, err, want)
		}
	}
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		a, b any
		want int
	}{
		{json.Number("2"), json.Number("10"), -1}, {"2", "10", -1}, {"b", "a", 1}, {"a", "a", 0}, {"64Mi", "1Gi", -1}, {"500m", "2", -1},
		{"1h", "90m", -1}, {"2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z", -1}, {true, false, 1}, {"web-2", "web-10", 1}, {"1Gi", "1024Mi", 0},
	} {
		if got := Compare(c.a, c.b); got != c.want {
			t.Errorf("%v and %v: got %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// Whatever is written, reading it ends without a panic, and what was read can be filled in.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"{.a.b[0].c}", `{range .a[*]}{.x}{"\n"}{end}`, "{.a[?(@.x==\"y\")]['b',\"c\"]}", "{..a[-1:3]}", `{\`, "{.a[?($.b<1e3)]}"} {
		f.Add(s)
	}
	doc := document(f)
	f.Fuzz(func(t *testing.T, in string) {
		tmpl, err := Parse(in)
		if err != nil {
			return
		}
		var b strings.Builder
		if err := tmpl.Write(&b, doc); err != nil {
			t.Fatal(err)
		}
	})
}
