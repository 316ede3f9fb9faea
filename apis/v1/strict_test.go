package v1

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"warren.io/warren/apis/meta"
)

// service wraps a spec in a document that is right otherwise.
func service(spec string) string {
	return `{"apiVersion":"warren.io/v1","kind":"Service","metadata":{"name":"web"},"spec":` + spec + `}`
}

func TestDecodeStrictProblems(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"fine", service(`{"image":"a"}`), ""},
		{"unknown field", service(`{"image":"a","replcias":2}`), "spec.replcias: unknown field; did you mean 'replicas'?"},
		{"other case", service(`{"image":"a","WorkingDir":"/"}`), "spec.WorkingDir: unknown field; did you mean 'workingDir'?"},
		{"snake case", service(`{"image":"a","read_only_root_filesystem":true}`), "spec.read_only_root_filesystem: unknown field; did you mean 'readOnlyRootFilesystem'?"},
		{"wrong place", service(`{"image":"a","maxAttempts":3}`), "spec.maxAttempts: unknown field; did you mean 'spec.restart.maxAttempts'?"},
		{"nothing near", service(`{"image":"a","resources":{"xyzzyxyzzy":3}}`), "spec.resources.xyzzyxyzzy: unknown field; there are limits, reservations"},
		{"mistyped and required", service(`{"iamge":"a"}`), "spec.iamge: unknown field; did you mean 'image'?"},
		{"list for text", service(`{"image":["a"]}`), "spec.image: is a list; a text is expected"},
		{"map for text", service(`{"image":{"a":1}}`), "spec.image: is a map; a text is expected"},
		{"number for text", service(`{"image":"a","args":[8080]}`), `spec.args[0]: is the number 8080; a text is expected; write it in quotes: "8080"`},
		{"text for list", service(`{"image":"a","command":"sleep 1"}`), `spec.command: is the text "sleep 1"; a list is expected, like ["sleep 1"]`},
		{"text for number", service(`{"image":"a","replicas":"2"}`), `spec.replicas: is the text "2"; a whole number is expected; write it without quotes`},
		{"fraction", service(`{"image":"a","replicas":1.5}`), "spec.replicas: is 1.5; a whole number is expected"},
		{"out of range", service(`{"image":"a","replicas":99999999999999999999}`), "spec.replicas: is 99999999999999999999; a whole number is expected"},
		{"text for boolean", service(`{"image":"a","readOnlyRootFilesystem":"yes"}`), `spec.readOnlyRootFilesystem: is the text "yes"; true or false is expected`},
		{"null", service(`{"image":"a","args":null}`), "spec.args: has no value; give it one or leave the field out"},
		{"null spec", service(`null`), "spec: has no value; give it one or leave the field out"},
		{"spec is a list", service(`[]`), "spec: is a list; a map is expected"},
		{"twice", service(`{"image":"a","image":"b"}`), "spec.image: is given twice"},
		{"cpu", service(`{"image":"a","resources":{"limits":{"cpu":"lots"}}}`), `spec.resources.limits.cpu: "lots" is no CPU amount; write cores like 2 or 0.5, or thousandths like 500m`},
		{"cpu as map", service(`{"image":"a","resources":{"limits":{"cpu":{}}}}`), "spec.resources.limits.cpu: is a map; a single value is expected"},
		{"duration", service(`{"image":"a","restart":{"delay":5}}`), `spec.restart.delay: "5" is no duration; write it like 500ms, 30s, 5m or 1h30m`},
		{"env", service(`{"image":"a","env":5}`), "spec.env: write a map {NAME: value} or a list of NAME=value"},
		{"several", service(`{"image":1,"replicas":-1,"user":"a b"}`), `spec.image: is the number 1; a text is expected; write it in quotes: "1"; ` +
			`spec.user: "a b" is no user; write name, uid, name:group or uid:gid; spec.replicas: -1 is out of range; 0 to 10000 are allowed`},
		{"loss of a node", service(`{"image":"a","nodeLoss":{"after":"1m","action":"keep"}}`), `spec.nodeLoss.action: "keep" is not allowed; did you mean "Keep"?`},
		{"a time to keep", service(`{"image":"a","nodeLoss":{"after":"1m","action":"Keep"}}`), "spec.nodeLoss.after: has no meaning with action Keep; leave it out"},
		{"global loss", service(`{"image":"a","mode":"Global","nodeLoss":{}}`), "spec.nodeLoss: has no meaning with mode Global, whose tasks belong to their nodes; leave it out"},
		{"times of liveness", `{"apiVersion":"warren.io/v1","kind":"Cluster","metadata":{"name":"warren"},"spec":{"id":"x","heartbeat":"4s","suspectAfter":"6s","downAfter":"5s"}}`,
			"spec.suspectAfter: 6s is too short: one lost sign of life is no silence; at least twice the heartbeat, 8s; " +
				"spec.downAfter: 5s must be longer than suspectAfter, 6s, and at most 24h0m0s"},
		{"no kind", `{"apiVersion":"warren.io/v1"}`, "kind: is required; one of Cluster, Node, Service, User"},
		{"kind in lower case", `{"apiVersion":"warren.io/v1","kind":"service"}`, `kind: unknown kind "service"; did you mean 'Service'?`},
		{"kind of others", `{"apiVersion":"apps/v1","kind":"Deployment"}`, `apiVersion: is "apps/v1"; warren.io/v1 is expected; kind: unknown kind "Deployment"; use one of Cluster, Node, Service, User`},
		{"kind is a list", `{"apiVersion":"warren.io/v1","kind":[]}`, "kind: is a list; a text is expected"},
		{"no version", `{"kind":"Service","metadata":{"name":"a"},"spec":{"image":"a"}}`, "apiVersion: is required; write warren.io/v1"},
		{"no name", `{"apiVersion":"warren.io/v1","kind":"Service","spec":{"image":"a"}}`, "metadata.name: is required"},
		{"name below the root", `{"apiVersion":"warren.io/v1","kind":"Service","name":"web","spec":{"image":"a"}}`, "name: unknown field; did you mean 'metadata.name'?"},
		{"label is a number", `{"apiVersion":"warren.io/v1","kind":"Service","metadata":{"name":"a","labels":{"v":1}},"spec":{"image":"a"}}`,
			`metadata.labels.v: is the number 1; a text is expected; write it in quotes: "1"`},
		{"list", `[1]`, "the document is a list; a map with apiVersion, kind, metadata and spec is expected"},
		{"text", ` "x"`, `the document is the text "x"; a map with apiVersion, kind, metadata and spec is expected`},
		{"null document", `null`, "the document is empty; a map with apiVersion, kind, metadata and spec is expected"},
		{"no json", `{`, "is no JSON: unexpected end of JSON input"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, p := Kinds.DecodeStrict([]byte(c.in))
			if got := p.Error(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if p.Err() == nil && o == nil {
				t.Error("no problems and no object")
			}
		})
	}
}

// What `get -o yaml` prints may be applied again: the system's fields are left out without a word.
func TestDecodeStrictTakesWhatGetPrints(t *testing.T) {
	s := meta.New[Service]("web")
	s.Spec.Image = "a:1"
	s.SetDefaults()
	s.Metadata.UID, s.Metadata.Revision, s.Metadata.Generation = 7, 9, 2
	s.Metadata.Finalizers = []string{"x"}
	s.Status.Ready = 3
	data, err := meta.Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	o, p := Kinds.DecodeStrict(data)
	if p.Err() != nil {
		t.Fatal(p)
	}
	s.Metadata = meta.Metadata{Name: "web"}
	s.Status = ServiceStatus{}
	if d := meta.Diff(s, o); len(d) > 0 {
		t.Errorf("differs in %s", strings.Join(d, ", "))
	}
}

// Strict decoding accepts nothing that plain decoding reads in another way.
func FuzzDecodeStrict(f *testing.F) {
	f.Add([]byte(service(`{"image":"a","env":{"A":"b","N":1},"replicas":2}`)))
	f.Add([]byte(service(`{"image":"a","env":["A=b"],"restart":{"delay":"1s","policy":"Never"}}`)))
	f.Add([]byte(service(`{"image":"a","resources":{"limits":{"cpu":"500m","memory":"64Mi","pids":9}},"labels":{"a":"b"}}`)))
	f.Add([]byte(`{"kind":"Service","apiVersion":"warren.io/v1","metadata":{"owner":1}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, p := Kinds.DecodeStrict(data)
		if p.Err() != nil {
			return
		}
		plain, err := Kinds.Decode(data)
		if err != nil {
			// Only the system's own fields are read less strictly here: they are not read at all.
			var m struct{ Metadata, Status json.RawMessage }
			if json.Unmarshal(data, &m) != nil || m.Metadata == nil && m.Status == nil {
				t.Fatalf("strict accepts what plain refuses: %v", err)
			}
			return
		}
		plain.SetDefaults()
		a, _ := json.Marshal(o.SpecOf())
		b, _ := json.Marshal(plain.SpecOf())
		if string(a) != string(b) {
			t.Fatalf("strict read %s, plain %s", a, b)
		}
		var again meta.Problems
		if o.Validate(&again); again.Err() != nil {
			t.Fatalf("accepted an invalid object: %v", again.Err())
		}
	})
}

// What this program writes is read on a way of its own; it must be the same as the general one.
func TestPlainEnvReadsTheSame(t *testing.T) {
	plain := map[string]bool{
		`[{"name":"A","value":"1"}]`: true, `[{"name":"A","value":""},{"name":"B","value":"x y=z {}[],:"}]`: true,
		`[]`: false, `[{"name":"A","value":"say \"hi\""}]`: false, `[{"name":"A","value":"é"}]`: false, `[{"name":"A"}]`: false,
		`[{"name":"A","value":5}]`: false, `[{"value":"1","name":"A"}]`: false, `[{"name":"A","value":"1"},"B=2"]`: false,
		`[{"name":"A","value":"1","more":1}]`: false, `[ {"name":"A","value":"1"}]`: false, `[{"name":"A","value":"1"}`: false, `[`: false, ``: false,
	}
	for text, want := range plain {
		fast, ok := plainEnv(text)
		if ok != want {
			t.Errorf("%s: plain is %v, want %v", text, ok, want)
		}
		if !ok {
			continue
		}
		var general Env
		for _, raw := range rawItems(t, text) {
			v, err := envItem(raw)
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
			general = append(general, v)
		}
		if !slices.Equal(fast, general) {
			t.Errorf("%s: %v, the general way %v", text, fast, general)
		}
	}
}

func rawItems(t *testing.T, text string) (items []json.RawMessage) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &items); err != nil {
		t.Fatal(err)
	}
	return items
}
