package arch

func checkTop(tree *Tree) []string {
	var found []string
	for _, name := range tree.Top {
		if name[0] != '.' && !topEntries[name] {
			found = append(found, name+": nothing but the listed entries lies in the top folder")
		}
	}
	return found
}

func checkPlainFolders(f *File) []string {
	if plainFolders[f.Dir()] {
		return []string{f.At(f.AST.Name, "%s is a folder of packages, not a package", f.Dir())}
	}
	return nil
}

// checkPackageComment asks for one comment per package; in a package of tests only, a test file may have it.
func checkPackageComment(tree *Tree) []string {
	type state struct {
		first      *File
		documented bool
	}
	packages, order := map[string]*state{}, []string{}
	for _, f := range tree.Files {
		p := packages[f.Dir()]
		if p == nil || p.first.Test && !f.Test {
			if p == nil {
				order = append(order, f.Dir())
			}
			p = &state{first: f}
			packages[f.Dir()] = p
		}
		p.documented = p.documented || f.AST.Doc != nil && (!f.Test || p.first.Test)
	}
	var found []string
	for _, dir := range order {
		if p := packages[dir]; !p.documented {
			found = append(found, p.first.At(p.first.AST.Name, "package %s has no package comment", p.first.AST.Name.Name))
		}
	}
	return found
}
