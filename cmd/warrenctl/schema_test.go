package warrenctl

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
)

// schemaFor compiles what `warrenctl schema` prints, which also holds it against the schema of schemas.
func schemaFor(t *testing.T, kinds ...string) *jsonschema.Schema {
	t.Helper()
	var out, stderr bytes.Buffer
	p := &program{out: &out, err: &stderr}
	if code := p.main(context.Background(), append([]string{"schema"}, kinds...)); code != codeDone {
		t.Fatal(stderr.String())
	}
	doc, err := jsonschema.UnmarshalJSON(&out)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("warren.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("warren.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// against validates one document in YAML or JSON.
func against(t *testing.T, s *jsonschema.Schema, doc []byte) error {
	t.Helper()
	data, err := yaml.YAMLToJSON(doc)
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

// Every manifest that we ship is good by the schema.
func TestSchemaAcceptsManifests(t *testing.T) {
	s, n := schemaFor(t), 0
	err := filepath.WalkDir("../../manifests", func(path string, _ os.DirEntry, err error) error {
		if ext := filepath.Ext(path); err != nil || ext != ".yaml" && ext != ".yml" && ext != ".json" || strings.Contains(path, "grafana") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, doc := range strings.Split("\n"+string(text), "\n---") {
			if err := against(t, s, []byte(doc)); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			n++
		}
		return nil
	})
	if err != nil || n < 5 {
		t.Errorf("%d documents; %v", n, err)
	}
}

// What the scripts' cluster holds, with status and all, and what get prints of it, is good too.
func TestSchemaAcceptsWhatGetPrints(t *testing.T) {
	s := schemaFor(t)
	lines, err := os.ReadFile("testdata/cluster.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []meta.Object
	for line := range bytes.Lines(lines) {
		o, err := v1.Kinds.Decode(line)
		if err != nil {
			t.Fatal(err)
		}
		o.SetDefaults()
		all = append(all, o)
	}
	var list bytes.Buffer
	if err := writeJSON(&list, all, false); err != nil {
		t.Fatal(err)
	}
	if err := against(t, s, list.Bytes()); err != nil {
		t.Error(err)
	}
}

// beyond are the reasons of the strict decoder that a schema cannot give: rules between fields, between entries of a list,
// amounts in different units, and what is wrong with the text and not with what it says.
var beyond = []string{"is no YAML", "is given twice", "is set twice", "is above the limit", "is below", "has no meaning with mode Global", "is too small",
	"is too long", "is too large", "the tag", "merge", "zero byte", "a key is no text", "it names the program to run", "nested", "is out of range; 0"}

// spelled are those that another reader of YAML takes for a number or a boolean, and amounts whose size no pattern can know.
var spelled = []string{"0x10", "1_000", "0.0001", "1e3", "0.3Ki", "99999999Ti", "1.0", "10000000h", "readOnlyRootFilesystem: yes", "readOnlyRootFilesystem: True"}

// The malformed specs that reading refuses are refused by the schema as well, but for what no schema can say.
func TestSchemaRefuses(t *testing.T) {
	s := schemaFor(t)
	text, err := os.ReadFile("../../runtime/manifest/testdata/spec.txt")
	if err != nil {
		t.Fatal(err)
	}
	unescape := strings.NewReplacer(`\n`, "\n  ", `\t`, "\t", `\\`, `\`)
	refused := 0
	for line := range strings.Lines(string(text)) {
		in, want, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " => ")
		doc := "apiVersion: warren.io/v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  image: a\n  " + unescape.Replace(in) + "\n"
		if against(t, s, []byte(doc)) != nil {
			refused++
			continue
		}
		excused := false
		for _, reason := range beyond {
			excused = excused || strings.Contains(want, reason)
		}
		for _, how := range spelled {
			excused = excused || strings.HasSuffix(strings.TrimRight(in, "}"), how)
		}
		if !excused {
			t.Errorf("accepted: %s\n  which is wrong: %s", in, want)
		}
	}
	if refused < 120 {
		t.Errorf("only %d refused", refused)
	}
	for _, doc := range []string{"[]", "kind: Service", "{apiVersion: warren.io/v1, kind: Deployment}", "{apiVersion: warren.io/v2, kind: Service, metadata: {name: a}, spec: {image: a}}",
		"{apiVersion: warren.io/v1, kind: Service, metadata: {name: a}}", "{apiVersion: warren.io/v1, kind: Service, metadata: {name: A}, spec: {image: a}}",
		"{apiVersion: warren.io/v1, kind: Service, metadata: {name: a}, spec: {image: a}, extra: 1}",
		"{apiVersion: warren.io/v1, kind: List, items: [{apiVersion: warren.io/v1, kind: Service, metadata: {name: a}, spec: {image: 1}}]}"} {
		if against(t, s, []byte(doc)) == nil {
			t.Errorf("accepted: %s", doc)
		}
	}
	if err := against(t, schemaFor(t, "svc"), []byte("{apiVersion: warren.io/v1, kind: Task, metadata: {name: a}}")); err == nil {
		t.Error("the schema of services accepts a task")
	}
}

// Every field has a comment and a release, since explain has nothing else to say.
func TestEveryFieldIsExplained(t *testing.T) {
	var look func(name string, f *meta.Field)
	look = func(name string, f *meta.Field) {
		if (f.Doc == "" || f.Since == "" || f.Type == "") && !strings.HasSuffix(name, "[]") && !strings.HasSuffix(name, ".*") {
			t.Errorf("%s: type %q, since %q, about %q", name, f.Type, f.Since, f.Doc)
		}
		for _, x := range f.Fields {
			look(name+"."+x.Name, x)
		}
		if f.Item != nil && f.Map {
			look(name+".*", f.Item)
		} else if f.Item != nil {
			look(name+"[]", f.Item)
		}
	}
	for _, k := range v1.Kinds {
		look(k.Name, v1.Outline(k))
	}
}
