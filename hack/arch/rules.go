package arch

import (
	"go/ast"
	"strings"
)

// Rule is one thing that holds for the whole source.
type Rule struct {
	Name string
	// Check returns what breaks the rule in one file, if it applies to that file.
	Check func(*File) []string
	// CheckTree is for rules that need to see more than one file.
	CheckTree func(*Tree) []string
}

// Rules is the architecture, as DESIGN section 2 and 8 have it.
var Rules = []Rule{
	{Name: "layers", Check: source(checkLayers)},
	{Name: "outside modules", Check: checkOutside},
	{Name: "controllers touch only resources", Check: source(checkController)},
	{Name: "file size", Check: source(checkFileSize)},
	{Name: "function size", Check: source(checkFunctionSize)},
	{Name: "words", Check: checkWords},
	{Name: "exported things are documented", Check: source(checkDocs)},
	{Name: "nothing unfinished", Check: source(checkUnfinished)},
	{Name: "gofmt", Check: checkFormat},
	{Name: "package comment", CheckTree: checkPackageComment},
	{Name: "top folder", CheckTree: checkTop},
	{Name: "plain folders", Check: checkPlainFolders},
}

const (
	maxFileLines     = 400
	maxFunctionLines = 60
)

// layers says what the non-test files of a folder (the longest that matches) may import from our own module, besides what lies below
// the folder itself. A trailing /* means the folder and all below. Folders that are not listed may import anything: cmd, hack, e2e.
var layers = map[string][]string{
	"apis/meta":                   {},
	"apis/v1":                     {"apis/meta"},
	"runtime/store":               {"apis/*", "runtime/store"},
	"runtime/store/grpcstore":     {"apis/*", "runtime/store", "runtime/server/api", "runtime/host"}, // the words on the wire; how logs are asked for
	"runtime/control":             {"apis/meta", "runtime/store"},
	"runtime/control/controltest": {"apis/*", "runtime/store", "runtime/store/memstore", "runtime/control/*"},
	"runtime/quorum":              {"apis/*", "runtime/store", "runtime/store/etcdstore"},
	"runtime/server":              {"apis/*", "runtime/store", "runtime/host"},
	"runtime/manifest":            {"apis/*", "runtime/store"},
	"runtime/identity":            {"apis/*", "runtime/store", "runtime/seal"},
	"runtime/seal":                {},
	"runtime/backup":              {"apis/*", "runtime/store", "runtime/seal"},
	"runtime/why":                 {"apis/*", "runtime/store", "runtime/control", "runtime/manifest"},
	"runtime/host":                {"apis/*", "runtime/host"},
	"runtime/host/network":        {"apis/*", "runtime/host", "runtime/host/nftables"},
	"runtime/sim":                 {"apis/*", "runtime/store", "runtime/store/memstore", "runtime/control/*", "runtime/host", "runtime/host/fake", "controllers/*"},
	"controllers":                 {"apis/*", "runtime/control"},
	"controllers/agent":           {"apis/*", "runtime/control", "runtime/host"},
}

// ownTree lists the layers whose parts may import each other. In all other layers a folder sees only itself and what is listed.
var ownTree = []string{"runtime/server", "runtime/manifest", "runtime/quorum", "runtime/identity", "runtime/sim", "runtime/host/containerd"}

// outside says which folders may import a module of others (by prefix), so that each has one door. Tests that look at the machine
// from outside (e2e, hack) are free.
var outside = []struct {
	prefix string
	only   []string
}{
	{"go.etcd.io/", []string{"runtime/store/etcdstore", "runtime/quorum"}},
	{"github.com/containerd/", []string{"runtime/host/containerd"}},
	{"github.com/opencontainers/runc", nil},
	{"golang.zx2c4.com/", []string{"runtime/host/wireguard"}},
	{"github.com/google/nftables", []string{"runtime/host/nftables", "runtime/host/network"}},
	{"github.com/vishvananda/", []string{"runtime/host/network", "runtime/host/nftables", "runtime/host/wireguard"}},
	{"github.com/google/go-containerregistry", nil},
}

// controllerImports may not be imported below controllers/: the network, the machine, clocks and chance.
var controllerImports = []string{"net", "math/rand", "crypto/rand", "os", "syscall", "golang.org/x/sys", "google.golang.org/grpc"}

// controllerImportsAllowed are the exceptions: values without effects.
var controllerImportsAllowed = []string{"net/netip", "net/url"}

// timeCalls reads or waits for the clock of this machine; a controller has tx.Now() and Result.After.
var timeCalls = words("Now Since Until After AfterFunc Sleep Tick NewTimer NewTicker")

// forbiddenWords are no part of a package's or type's name: they say nothing, or something else here (a manager is a role of a node).
var forbiddenWords = words("manager client informer lister scheme factory helper util utils common")

// interfaceMethods implement a well-known interface, whose documentation is theirs.
var interfaceMethods = words(`String GoString Format Error Unwrap Is As Len Less Swap Read Write Close MarshalJSON UnmarshalJSON
	MarshalText UnmarshalText MarshalYAML UnmarshalYAML ServeHTTP Write Enabled Handle WithAttrs WithGroup`)

// topEntries are the files and folders of the top folder; names with a dot in front are free, bin is built.
var topEntries = words("cmd controllers apis runtime manifests hack e2e go.mod go.sum Makefile LICENSE README.md bin")

// plainFolders hold packages and are none.
var plainFolders = words("cmd apis runtime controllers hack manifests")

// source limits a check to what we write and ship: no tests, nothing generated.
func source(check func(*File) []string) func(*File) []string {
	return func(f *File) []string {
		if f.Test || f.Generated {
			return nil
		}
		return check(f)
	}
}

// Findings holds the tree against one rule.
func (r Rule) Findings(tree *Tree) []string {
	if r.CheckTree != nil {
		return r.CheckTree(tree)
	}
	var found []string
	for _, f := range tree.Files {
		found = append(found, r.Check(f)...)
	}
	return found
}

func words(list string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(list) {
		set[word] = true
	}
	return set
}

// below is whether a folder is another or lies below it.
func below(dir, top string) bool { return dir == top || strings.HasPrefix(dir, top+"/") }

// inspect collects the findings of a visit to every node of a file.
func inspect(f *File, visit func(ast.Node) string) []string {
	var found []string
	ast.Inspect(f.AST, func(n ast.Node) bool {
		if n == nil {
			return false
		}
		if finding := visit(n); finding != "" {
			found = append(found, finding)
		}
		return true
	})
	return found
}
