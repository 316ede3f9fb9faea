package jsonpath

import (
	"encoding/json"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
)

// A record answers every path as the JSON of the same object does.
func TestRecordsAreAsTheirJSON(t *testing.T) {
	replicas, code := 0, 0
	svc := meta.New[v1.Service]("web")
	svc.Metadata.Labels, svc.Metadata.Created = map[string]string{"b": "2", "a": "1"}, time.Date(2026, 11, 1, 12, 0, 0, 5, time.UTC)
	svc.Spec.Env = v1.Env{{Name: "A", Value: "<b>"}}
	svc.Spec.Replicas, svc.Spec.Resources.Limits.Memory = &replicas, 64<<20
	svc.SetDefaults()
	svc.Status.Conditions = meta.Conditions{{Type: "Available", Status: meta.False}}
	task := meta.New[v1.Task]("web-1-1")
	task.Spec.Args, task.Status.ExitCode = []string{"x", "y"}, &code
	for _, o := range []meta.Object{svc, task, meta.New[v1.Node]("n1"), meta.New[v1.Event]("e")} {
		for _, text := range []string{"{.}", "{..name}", "{.*}", "{.spec}", "{.spec.*}", "{.status}", "{.metadata}", "{.metadata.labels.*}", "{.metadata.created}", "{.metadata.deleted}",
			"{.spec.replicas}", "{.spec.env[*].value}", "{.spec.restart.delay}", "{.spec.resources}", "{.spec.args[1:]}", "{.spec.command}", "{.status.exitCode}", "{.status.ready}",
			"{.status.conditions[?(@.status==\"False\")].type}", "{.metadata.uid}", "{.kind}{.apiVersion}", "{.status.image}"} {
			tmpl, err := Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			// a struct has its fields in the order of the API, a map in that of the alphabet
			if got, want := canonical(t, tmpl, Of(o)), canonical(t, tmpl, parsed(o)); got != want {
				t.Errorf("%s of %s: got %s, want %s", text, o.Key(), got, want)
			}
		}
	}
}

func canonical(t *testing.T, tmpl *Template, doc any) string {
	t.Helper()
	var out []any
	for _, p := range tmpl.parts {
		for _, v := range p.path.find(doc, doc) {
			out = append(out, parsed(v))
		}
	}
	data, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
