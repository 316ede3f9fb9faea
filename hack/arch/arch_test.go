package arch

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// TestSource holds our own source against every rule.
func TestSource(t *testing.T) {
	tree, err := Load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Files) < 20 {
		t.Fatalf("read only %d files: is this the top of the module?", len(tree.Files))
	}
	for _, rule := range Rules {
		t.Run(rule.Name, func(t *testing.T) {
			for _, finding := range rule.Findings(tree) {
				t.Error(finding)
			}
		})
	}
}

// A bite is a small source that breaks one rule in one place, and one beside it that does not.
type bite struct {
	rule, path, bad string
	want            string // in the finding
	okPath, ok      string // allowed; okPath is path where empty
}

var bites = []bite{
	{rule: "layers", path: "apis/meta/a.go", bad: `import "warren.io/warren/apis/v1"`, want: "may not import apis/v1", ok: `import "time"`},
	{rule: "layers", path: "apis/meta/a.go", bad: `import "sigs.k8s.io/yaml"`, want: "standard library only", okPath: "apis/v1/a.go"},
	{rule: "layers", path: "controllers/vip/a.go", bad: `import "warren.io/warren/controllers/scheduler"`, want: "may not import controllers/scheduler",
		ok: `import "warren.io/warren/runtime/control"`},
	{rule: "layers", path: "controllers/vip/a.go", bad: `import "warren.io/warren/runtime/host"`, want: "may not import runtime/host", okPath: "controllers/agent/tasks/a.go"},
	{rule: "layers", path: "controllers/agent/tasks/a.go", bad: `import "warren.io/warren/runtime/host/containerd"`, want: "may not import runtime/host/containerd",
		okPath: "cmd/warren/a.go"},
	{rule: "layers", path: "runtime/control/a.go", bad: `import "warren.io/warren/apis/v1"`, want: "may not import apis/v1", okPath: "runtime/control/controltest/a.go"},
	{rule: "layers", path: "runtime/host/dns/a.go", bad: `import "warren.io/warren/runtime/store"`, want: "may not import", ok: `import "warren.io/warren/runtime/host"`},
	{rule: "layers", path: "runtime/host/dns/a.go", bad: `import "warren.io/warren/runtime/host/network"`, want: "may not import", okPath: "runtime/host/dns/a_test.go"},
	{rule: "outside modules", path: "runtime/server/a.go", bad: `import "go.etcd.io/etcd/client/v3"`, want: "go.etcd.io", okPath: "runtime/store/etcdstore/a.go"},
	{rule: "outside modules", path: "cmd/warren/a.go", bad: `import "github.com/containerd/containerd/v2/client"`, want: "containerd", okPath: "runtime/host/containerd/shim/a.go"},
	{rule: "outside modules", path: "runtime/host/dns/a.go", bad: `import "github.com/google/nftables/expr"`, want: "nftables", okPath: "runtime/host/nftables/a.go"},
	{rule: "outside modules", path: "runtime/host/dns/a.go", bad: `import "github.com/vishvananda/netlink"`, want: "vishvananda", okPath: "runtime/host/network/a.go"},
	{rule: "outside modules", path: "runtime/host/dns/a.go", bad: `import "golang.zx2c4.com/wireguard/wgctrl"`, want: "zx2c4", okPath: "runtime/host/wireguard/a.go"},
	{rule: "controllers touch only resources", path: "controllers/vip/a.go", bad: `import "net/http"`, want: "net/http", ok: `import "net/netip"`},
	{rule: "controllers touch only resources", path: "controllers/vip/a.go", bad: `import "math/rand/v2"`, want: "math/rand/v2", okPath: "runtime/control/a.go"},
	{rule: "controllers touch only resources", path: "controllers/vip/a.go", bad: `import "crypto/rand"`, want: "crypto/rand", ok: `import "crypto/sha256"`},
	{rule: "controllers touch only resources", path: "controllers/vip/a.go", bad: `import "os/exec"`, want: "os/exec", okPath: "controllers/vip/a_test.go"},
	{rule: "controllers touch only resources", path: "controllers/vip/a.go", bad: `var x = time.Now()`, want: "tx.Now()", ok: `var x = time.Second`},
	{rule: "controllers touch only resources", path: "controllers/vip/a.go", bad: `func f() { go f() }`, want: "goroutine", ok: `func f() { f() }`},
	{rule: "file size", path: "runtime/a/a.go", bad: strings.Repeat("//\n", 400), want: "at most 400", ok: strings.Repeat("//\n", 300)},
	{rule: "function size", path: "runtime/a/a.go", bad: "func f() {" + strings.Repeat("\n", 60) + "}", want: "f has 61 lines", ok: "func f() {" + strings.Repeat("\n", 59) + "}"},
	{rule: "words", path: "runtime/a/a.go", bad: `type TaskManager struct{}`, want: `"manager"`, ok: `type Task struct{}`},
	{rule: "words", path: "runtime/a/a.go", bad: `type clientOptions struct{}`, want: `"client"`, ok: `type clientele struct{}`},
	{rule: "exported things are documented", path: "runtime/a/a.go", bad: `func F() {}`, want: "F has no comment", ok: "// F is.\nfunc F() {}"},
	{rule: "exported things are documented", path: "runtime/a/a.go", bad: `func (T[A]) F() {}`, want: "F has no comment", ok: "func (t[A]) F() {}"},
	{rule: "exported things are documented", path: "runtime/a/a.go", bad: `type T int`, want: "type T", ok: `func (t T) String() string { return "" }`},
	{rule: "exported things are documented", path: "runtime/a/a.go", bad: `const A = 1`, want: "A has no comment", ok: "// These are.\nconst (\n\tA = 1\n)"},
	{rule: "nothing unfinished", path: "runtime/a/a.go", bad: "// TO" + "DO: more", want: "finish it", ok: "// todos are a kind of fruit"},
	{rule: "nothing unfinished", path: "runtime/a/a.go", bad: `var e = errors.New("Not` + ` implemented")`, want: "finish it", okPath: "runtime/a/a_test.go"},
	{rule: "gofmt", path: "runtime/a/a.go", bad: "var  x int", want: "gofmt", ok: "var x int"},
	{rule: "package comment", path: "runtime/a/a.go", bad: "-package a", want: "no package comment", ok: "var x int"},
	{rule: "package comment", path: "e2e/a_test.go", bad: "-package a", want: "no package comment", ok: "var x int"},
	{rule: "top folder", path: "pkg/a.go", bad: "", want: "pkg", okPath: "hack/a/a.go"},
	{rule: "plain folders", path: "runtime/a.go", bad: "", want: "not a package", okPath: "runtime/a/a.go"},
}

func TestEveryRuleBites(t *testing.T) {
	for i, b := range bites {
		t.Run(fmt.Sprint(i, " ", b.rule), func(t *testing.T) {
			rule := ruleNamed(t, b.rule)
			found := rule.Findings(treeOf(t, b.path, b.bad))
			if len(found) != 1 || !strings.Contains(found[0], b.want) {
				t.Errorf("found %q, want one finding with %q", found, b.want)
			}
			if b.okPath == "" {
				b.okPath = b.path
			} else if b.ok == "" {
				b.ok = b.bad
			}
			if found := rule.Findings(treeOf(t, b.okPath, b.ok)); len(found) != 0 {
				t.Errorf("found %q in what is allowed", found)
			}
		})
	}
	for _, rule := range Rules {
		if !anyBite(rule.Name) {
			t.Errorf("no case shows that rule %q bites", rule.Name)
		}
	}
}

// TestLeftOut: what go leaves out, the rules do not see.
func TestLeftOut(t *testing.T) {
	for _, path := range []string{"runtime/a/testdata/b.go", ".build/b.go", "bin/b.go", "runtime/_old/b.go", "runtime/a/b.txt"} {
		if tree := treeOf(t, path, "var  x int"); len(tree.Files) != 0 {
			t.Errorf("%s was read", path)
		}
	}
}

// TestLayersName sees that the table itself is right: every folder that a layer may import is a layer or lies in one.
func TestLayersName(t *testing.T) {
	for layer, imports := range layers {
		for _, pattern := range imports {
			dir := strings.TrimSuffix(pattern, "/*")
			if layerOf(dir) == "" && dir != "apis" {
				t.Errorf("layer %s may import %s, which is no layer", layer, pattern)
			}
		}
	}
}

func ruleNamed(t *testing.T, name string) Rule {
	t.Helper()
	for _, rule := range Rules {
		if rule.Name == name {
			return rule
		}
	}
	t.Fatalf("no rule %q", name)
	return Rule{}
}

func anyBite(rule string) bool {
	for _, b := range bites {
		if b.rule == rule {
			return true
		}
	}
	return false
}

// treeOf is a tree of one file, with a documented package clause unless the source brings its own after a "-".
func treeOf(t *testing.T, path, source string) *Tree {
	t.Helper()
	whole, own := strings.CutPrefix(source, "-")
	if !own {
		whole = "// Package a is an example.\npackage a\n\n" + source
	}
	tree, err := Load(fstest.MapFS{path: {Data: []byte(strings.TrimRight(whole, "\n") + "\n")}})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}
