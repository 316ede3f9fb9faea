// Command fielddocs writes down the comments on the kinds and their fields, for explain and the schema: the Go source is
// the one place where they are written. It is run by go generate in apis/v1, and its test sees that the result is current.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// packages are those that hold kinds, seen from the root of the module.
var packages = []string{"apis/meta", "apis/v1"}

func main() {
	root, out := os.Args[1], os.Args[2]
	text, err := generate(root)
	if err == nil {
		err = os.WriteFile(out, []byte(text), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fielddocs:", err)
		os.Exit(1)
	}
}

// generate returns one line for each comment: what it is about, a tab, the text.
func generate(root string) (string, error) {
	var b strings.Builder
	for _, dir := range packages {
		files, err := sources(root + "/" + dir)
		if err != nil {
			return "", err
		}
		for _, f := range files {
			w := &writer{out: &b, pkg: f.Name.Name}
			for _, d := range f.Decls {
				if g, ok := d.(*ast.GenDecl); ok {
					w.group(g)
				}
			}
		}
	}
	return b.String(), nil
}

// sources reads the files of a package in the order of their names, tests left out.
func sources(dir string) ([]*ast.File, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []*ast.File
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), dir+"/"+e.Name(), nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

type writer struct {
	out *strings.Builder
	pkg string
}

func (w *writer) line(name, text string) {
	if text = strings.Join(strings.Fields(text), " "); text != "" {
		fmt.Fprintf(w.out, "%s.%s\t%s\n", w.pkg, name, text)
	}
}

func (w *writer) group(g *ast.GenDecl) {
	place := 0
	for _, s := range g.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			w.aType(s, g.Doc)
		case *ast.ValueSpec:
			place++
			w.constant(s, place)
		}
	}
}

// aType writes the comment on a type that stands in documents, and those on its fields.
func (w *writer) aType(s *ast.TypeSpec, doc *ast.CommentGroup) {
	if s.Doc != nil {
		doc = s.Doc
	}
	st, isStruct := s.Type.(*ast.StructType)
	_, isContract := s.Type.(*ast.InterfaceType)
	inDocuments := !isStruct || len(st.Fields.List) == 0 || slices.ContainsFunc(st.Fields.List, func(f *ast.Field) bool { return jsonName(f) != "" })
	if !s.Name.IsExported() || isContract || !inDocuments {
		return
	}
	w.line(s.Name.Name, aboutType(s.Name.Name, doc.Text()))
	if isStruct {
		w.fields(s.Name.Name, st)
	}
}

// constant writes a value of a type of texts, with its place among them in front.
func (w *writer) constant(s *ast.ValueSpec, place int) {
	t, ok := s.Type.(*ast.Ident)
	if !ok || len(s.Values) != 1 {
		return
	}
	if lit, ok := s.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
		value, _ := strconv.Unquote(lit.Value) // the parser has seen to it
		w.line(t.Name+"="+value, fmt.Sprintf("%02d %s", place, s.Comment.Text()))
	}
}

// fields writes the comment on each field. One that stands over several fields in a row speaks for those that it names.
func (w *writer) fields(owner string, st *ast.StructType) {
	names := map[string]string{} // of fields, in Go and in JSON
	for _, f := range st.Fields.List {
		if len(f.Names) == 1 {
			names[f.Names[0].Name] = jsonName(f)
		}
	}
	over := ""
	for _, f := range st.Fields.List {
		if len(f.Names) != 1 || jsonName(f) == "" {
			continue
		}
		text := f.Doc.Text()
		if text == "" {
			text = f.Comment.Text()
		}
		switch named := regexp.MustCompile(`\b` + f.Names[0].Name + `\b`).MatchString(over); {
		case text != "":
			over = text
		case named:
			text = over
		}
		w.line(owner+"."+jsonName(f), inJSON(text, names))
	}
}

func jsonName(f *ast.Field) string {
	if f.Tag == nil {
		return ""
	}
	tag, _ := strconv.Unquote(f.Tag.Value)
	name, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
	return name
}

var word = regexp.MustCompile(`\b[A-Z][A-Za-z]*\b`)

// inJSON writes the names of fields as people write them.
func inJSON(text string, names map[string]string) string {
	return word.ReplaceAllStringFunc(text, func(w string) string {
		if name := names[w]; name != "" {
			return name
		}
		return w
	})
}

// aboutType turns "Restart says how" into "Says how", and "ServiceSpec is what" into "What".
func aboutType(name, doc string) string {
	rest, ok := strings.CutPrefix(doc, name+" ")
	if !ok {
		return doc
	}
	for _, verb := range []string{"is ", "are "} {
		rest = strings.TrimPrefix(rest, verb)
	}
	return strings.ToUpper(rest[:1]) + rest[1:]
}
