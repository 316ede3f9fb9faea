package arch

import (
	"go/ast"
	"slices"
	"strings"
)

// layerOf is the longest listed folder that a folder lies in, "" if none.
func layerOf(dir string) string {
	layer := ""
	for candidate := range layers {
		if below(dir, candidate) && len(candidate) > len(layer) {
			layer = candidate
		}
	}
	return layer
}

func checkLayers(f *File) []string {
	layer := layerOf(f.Dir())
	if layer == "" {
		return nil
	}
	var found []string
	f.Imports(func(imported string, own bool, at ast.Node) {
		if own && !mayImport(f.Dir(), layer, imported) {
			found = append(found, f.At(at, "%s may not import %s: it may import %s", f.Dir(), imported, allowed(layer)))
		}
		if !own && layer == "apis/meta" && !standard(imported) {
			found = append(found, f.At(at, "apis/meta imports the standard library only, not %s", imported))
		}
	})
	return found
}

func mayImport(dir, layer, imported string) bool {
	if below(imported, dir) {
		return true
	}
	for _, tree := range ownTree {
		if below(dir, tree) && below(imported, tree) {
			return true
		}
	}
	return slices.ContainsFunc(layers[layer], func(pattern string) bool {
		tree, all := strings.CutSuffix(pattern, "/*")
		return imported == pattern || all && below(imported, tree)
	})
}

func allowed(layer string) string {
	if len(layers[layer]) == 0 {
		return "nothing of ours"
	}
	return strings.Join(layers[layer], ", ")
}

// standard is whether an import path is the standard library's: those have no dot in their first part.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

func checkOutside(f *File) []string {
	if below(f.Dir(), "e2e") || below(f.Dir(), "hack") {
		return nil
	}
	var found []string
	f.Imports(func(imported string, own bool, at ast.Node) {
		for _, door := range outside {
			free := f.Test && door.only == nil
			inside := slices.ContainsFunc(door.only, func(dir string) bool { return below(f.Dir(), dir) })
			if !own && strings.HasPrefix(imported, door.prefix) && !inside && !free {
				found = append(found, f.At(at, "only %v may import %s", door.only, door.prefix))
			}
		}
	})
	return found
}

// checkController sees that a controller meets the world in resources only.
func checkController(f *File) []string {
	if !below(f.Dir(), "controllers") {
		return nil
	}
	var found []string
	f.Imports(func(imported string, own bool, at ast.Node) {
		if slices.Contains(controllerImportsAllowed, imported) || own {
			return
		}
		if slices.ContainsFunc(controllerImports, func(no string) bool { return below(imported, no) }) {
			found = append(found, f.At(at, "a controller may not import %s: it meets the world in resources", imported))
		}
	})
	return append(found, inspect(f, func(n ast.Node) string {
		switch n := n.(type) {
		case *ast.GoStmt:
			return f.At(n, "a controller may not start a goroutine: the engine decides when it runs")
		case *ast.SelectorExpr:
			if pkg, ok := n.X.(*ast.Ident); ok && pkg.Name == "time" && timeCalls[n.Sel.Name] {
				return f.At(n, "a controller may not use time.%s: time is tx.Now()", n.Sel.Name)
			}
		}
		return ""
	})...)
}
