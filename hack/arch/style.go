package arch

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

func checkFileSize(f *File) []string {
	if n := bytes.Count(f.Source, []byte("\n")); n > maxFileLines {
		return []string{f.At(f.AST, "%d lines, at most %d: split it by subject", n, maxFileLines)}
	}
	return nil
}

func checkFunctionSize(f *File) []string {
	return inspect(f, func(n ast.Node) string {
		if fn, ok := n.(*ast.FuncDecl); ok && f.Lines(fn) > maxFunctionLines {
			return f.At(fn, "%s has %d lines, at most %d", fn.Name.Name, f.Lines(fn), maxFunctionLines)
		}
		return ""
	})
}

func checkWords(f *File) []string {
	if f.Generated {
		return nil // names that gRPC's generator gives
	}
	found := inspect(f, func(n ast.Node) string {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return ""
		}
		for word := range strings.FieldsSeq(splitName(spec.Name.Name)) {
			if forbiddenWords[word] {
				return f.At(spec, "type %s: %q is no part of a type's name here", spec.Name.Name, word)
			}
		}
		return ""
	})
	if forbiddenWords[strings.TrimSuffix(f.AST.Name.Name, "_test")] {
		found = append(found, f.At(f.AST.Name, "package %s: no name for a package here", f.AST.Name.Name))
	}
	return found
}

// splitName turns "TaskManager" and "task_manager" into "task manager".
func splitName(name string) string {
	var b strings.Builder
	for _, r := range name {
		if unicode.IsUpper(r) || r == '_' {
			b.WriteByte(' ')
		}
		if r != '_' {
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

func checkDocs(f *File) []string {
	if f.AST.Name.Name == "main" {
		return nil
	}
	var found []string
	for _, decl := range f.AST.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Doc == nil && decl.Name.IsExported() && receiverExported(decl) && !wellKnown(decl) {
				found = append(found, f.At(decl, "%s has no comment", decl.Name.Name))
			}
		case *ast.GenDecl:
			found = append(found, undocumented(f, decl)...)
		}
	}
	return found
}

// undocumented looks at types, constants and variables; one comment over a group speaks for all of it.
func undocumented(f *File, decl *ast.GenDecl) []string {
	var found []string
	for _, spec := range decl.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if decl.Doc == nil && spec.Doc == nil && spec.Comment == nil && spec.Name.IsExported() {
				found = append(found, f.At(spec, "type %s has no comment", spec.Name.Name))
			}
		case *ast.ValueSpec:
			exported := slices.ContainsFunc(spec.Names, (*ast.Ident).IsExported)
			if decl.Doc == nil && spec.Doc == nil && spec.Comment == nil && exported {
				found = append(found, f.At(spec, "%s has no comment", spec.Names[0].Name))
			}
		}
	}
	return found
}

func wellKnown(fn *ast.FuncDecl) bool { return fn.Recv != nil && interfaceMethods[fn.Name.Name] }

// receiverExported is true for functions, and for methods of exported types.
func receiverExported(fn *ast.FuncDecl) bool {
	if fn.Recv == nil {
		return true
	}
	t := fn.Recv.List[0].Type
	for {
		switch inner := t.(type) {
		case *ast.StarExpr:
			t = inner.X
		case *ast.IndexExpr:
			t = inner.X
		case *ast.IndexListExpr:
			t = inner.X
		case *ast.Ident:
			return inner.IsExported()
		default:
			return true
		}
	}
}

// unfinished is put together, so that this file does not break its own rule.
var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b|(?i:not` + ` (yet )?implemented|place` + `holder)`)

func checkUnfinished(f *File) []string {
	var found []string
	for i, line := range bytes.Split(f.Source, []byte("\n")) {
		if word := unfinished.Find(line); word != nil {
			found = append(found, fmt.Sprintf("%s:%d: %q: finish it or leave it out", f.Path, i+1, word))
		}
	}
	return found
}

func checkFormat(f *File) []string {
	if formatted, err := format.Source(f.Source); err != nil || !bytes.Equal(formatted, f.Source) {
		return []string{f.Path + ":1: not as gofmt writes it"}
	}
	return nil
}
