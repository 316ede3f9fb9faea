// Package arch holds the architecture of Warren as rules over its source: who may import whom, what a controller may not touch, and
// how large and how documented things are. rules.go is the table; `go test ./hack/arch` reads the whole source and holds it against
// every rule, and shows for every rule a tiny source that breaks it.
package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// module is the prefix of our own import paths.
const module = "warren.io/warren/"

// Tree is the source of the module, read once.
type Tree struct {
	Top   []string // names of the entries of the top folder
	Files []*File  // all Go files that are not test data, in the order of their paths
}

// File is one Go source file.
type File struct {
	Path      string // slash-separated, from the top folder
	Source    []byte
	Test      bool // _test.go
	Generated bool // .pb.go
	AST       *ast.File
	fset      *token.FileSet
}

// Dir is the folder, which is also the package's import path without the module.
func (f *File) Dir() string { return path.Dir(f.Path) }

// At makes a finding: where it is and what is wrong there.
func (f *File) At(n ast.Node, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: %s", f.Path, f.fset.Position(n.Pos()).Line, fmt.Sprintf(format, args...))
}

// Lines is how many lines a node takes.
func (f *File) Lines(n ast.Node) int {
	return f.fset.Position(n.End()).Line - f.fset.Position(n.Pos()).Line + 1
}

// Imports calls visit with each import path, our own without the module's name, and its place.
func (f *File) Imports(visit func(imported string, own bool, at ast.Node)) {
	for _, spec := range f.AST.Imports {
		full, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has refused such a file already
		}
		short, own := strings.CutPrefix(full, module)
		visit(short, own, spec)
	}
}

// Load reads the Go source below root. Folders that go itself leaves out are left out here: testdata, and names with a dot or
// underscore in front.
func Load(root fs.FS) (*Tree, error) {
	tree := &Tree{}
	entries, err := fs.ReadDir(root, ".")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		tree.Top = append(tree.Top, e.Name())
	}
	err = fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && ignored(p, d.Name()) {
			return fs.SkipDir
		}
		if d.IsDir() || path.Ext(p) != ".go" {
			return nil
		}
		f, err := readFile(root, p)
		if err != nil {
			return err
		}
		tree.Files = append(tree.Files, f)
		return nil
	})
	return tree, err
}

func ignored(p, name string) bool {
	return p != "." && (name == "testdata" || p == "bin" || name[0] == '.' || name[0] == '_')
}

func readFile(root fs.FS, p string) (*File, error) {
	source, err := fs.ReadFile(root, p)
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, p, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &File{
		Path:      p,
		Source:    source,
		Test:      strings.HasSuffix(p, "_test.go"),
		Generated: strings.HasSuffix(p, ".pb.go"),
		AST:       parsed,
		fset:      fset,
	}, nil
}
