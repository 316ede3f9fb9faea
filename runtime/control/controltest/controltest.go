// Package controltest tests controllers with cases that are data: objects in, what one reconcile did out. A case is a txtar
// file with these parts:
//
//	args      optional: "item: NAME" (default ""), "now: +90s" since the start of 2026 (default 0)
//	in.yaml   the objects that the controller sees
//	out.yaml  what it did: created, changed (field by field), deleted, events, when to run again, the error
//
// Further parts belong to the controller's own test, a host's view for example. Lines before the first part say what the
// case is about. `go test -update` writes out.yaml anew; read the difference before it is committed.
package controltest

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/store"
)

var update = flag.Bool("update", false, "write the out.yaml of all cases anew")

// Start is the time at which all cases play; args.now is counted from it.
var Start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Case is one file.
type Case struct {
	Item  string
	Now   time.Time
	Parts map[string]string // all parts of the file
	// Seen is shown in out.yaml under "host": what the controller asked its host for.
	Seen any
	// Words stand in the file for values that it should not spell out, e.g. HASH for the hash of a template.
	Words map[string]string
}

// Decode reads a part of YAML into to.
func (c *Case) Decode(t *testing.T, part string, to any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(c.Parts[part]), to); err != nil {
		t.Fatalf("%s: %v", part, err)
	}
}

// Run runs all cases of testdata. build returns the controller for a case.
func Run(t *testing.T, build func(*testing.T, *Case) control.Controller) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runFile(t, file, build) })
	}
}

func runFile(t *testing.T, file string, build func(*testing.T, *Case) control.Controller) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := parse(t, archive)
	k := build(t, c)
	for word, value := range c.Words {
		c.Parts["in.yaml"] = strings.ReplaceAll(c.Parts["in.yaml"], word, value)
	}
	got := c.play(t, k)
	for word, value := range c.Words {
		got = strings.ReplaceAll(got, value, word)
	}
	if *update {
		put(archive, "out.yaml", got)
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want := c.Parts["out.yaml"]; got != want {
		t.Errorf("out.yaml differs; got:\n%s\nwant:\n%s", got, want)
	}
}

func put(a *txtar.Archive, name, data string) {
	for i := range a.Files {
		if a.Files[i].Name == name {
			a.Files[i].Data = []byte(data)
			return
		}
	}
	a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(data)})
}

func parse(t *testing.T, a *txtar.Archive) *Case {
	t.Helper()
	c := &Case{Now: Start, Parts: map[string]string{}, Words: map[string]string{}}
	for _, f := range a.Files {
		c.Parts[f.Name] = string(f.Data)
	}
	var args struct {
		Item string        `json:"item"`
		Now  meta.Duration `json:"now"`
	}
	c.Decode(t, "args", &args)
	c.Item, c.Now = args.Item, Start.Add(time.Duration(args.Now))
	return c
}

// play runs one reconcile, and a second one on what it made, which must write nothing.
func (c *Case) play(t *testing.T, k control.Controller) string {
	t.Helper()
	objects := c.Objects(t)
	did := reconcile(t, k, control.NewSnapshot(v1.Kinds, objects, 1000), c)
	out := did.String(c.Seen)
	if did.err != nil || *update {
		return out
	}
	made := map[meta.Key]meta.Object{}
	for _, o := range objects {
		made[o.Key()] = o
	}
	for _, op := range did.ops {
		if made[op.Key] = op.Object; op.Verb == store.Delete {
			delete(made, op.Key)
		}
	}
	snap := control.NewSnapshot(v1.Kinds, slices.Collect(maps.Values(made)), 1001)
	if again := reconcile(t, k, snap, c); len(again.ops) > 0 || again.err != nil {
		t.Errorf("run again on what it made it does more:\n%s", again.String(nil))
	}
	return out
}

// Objects reads in.yaml. An object without a uid gets one; defaults are filled in as the store's doors would.
func (c *Case) Objects(t *testing.T) []meta.Object {
	t.Helper()
	var out []meta.Object
	for i, doc := range bytes.Split([]byte(c.Parts["in.yaml"]), []byte("\n---\n")) {
		if len(bytes.TrimSpace(doc)) == 0 {
			continue
		}
		data, err := yaml.YAMLToJSONStrict(doc)
		if err != nil {
			t.Fatalf("in.yaml: object %d: %v", i, err)
		}
		o, err := v1.Kinds.Decode(data)
		if err != nil {
			t.Fatalf("in.yaml: object %d: %v", i, err)
		}
		o.SetDefaults()
		if m := o.Meta(); m.UID == 0 {
			m.UID = int64(i + 1)
		}
		o.Meta().Generation = max(o.Meta().Generation, 1)
		out = append(out, o)
	}
	return out
}

func reconcile(t *testing.T, k control.Controller, snap *control.Snapshot, c *Case) *outcome {
	t.Helper()
	contract := k.Contract()
	if err := control.CheckContracts(v1.Kinds, []control.Contract{contract}); err != nil {
		t.Fatal(err)
	}
	tx := control.NewTx(snap, &contract, c.Now)
	did := &outcome{snap: snap}
	did.result, did.err = k.Reconcile(t.Context(), tx, c.Item)
	if did.err == nil {
		did.ops, did.err = tx.Ops()
		did.notes = tx.Notes()
	}
	return did
}
