package warrenctl

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/manifest"
)

// Every kind is shown in every form, by each of its names, one of it and all, and described and explained.
func TestEveryKindInEveryForm(t *testing.T) {
	n := newLive(t, nil)
	cluster, err := os.ReadFile("testdata/cluster.json")
	if err != nil {
		t.Fatal(err)
	}
	cluster = append(cluster, `
{"apiVersion":"warren.io/v1","kind":"Cluster","metadata":{"name":"warren"},"spec":{"id":"ABC"}}
{"apiVersion":"warren.io/v1","kind":"Token","metadata":{"name":"abcd2345"},"spec":{"role":"worker","hash":"00","uses":1,"expires":"2026-11-02T12:00:00Z"}}
{"apiVersion":"warren.io/v1","kind":"Authority","metadata":{"name":"cluster"},"spec":{"certificate":"PEM"}}`...)
	if err := putAll(n.mem, cluster); err != nil {
		t.Fatal(err)
	}
	at := "unix://" + filepath.Join(n.dir, "warren.sock")
	must := func(args ...string) string {
		t.Helper()
		o := say(t.Context(), at, args...)
		if o.code != codeDone || o.out == "" || o.err != "" {
			t.Fatalf("%q: %+v", args, o)
		}
		return o.out
	}
	for _, k := range v1.Kinds {
		words := append([]string{k.Name, k.Plural, strings.ToLower(k.Name), strings.ToUpper(k.Plural)}, k.Short...)
		names := strings.Fields(must("get", k.Plural, "-o", "name"))
		for _, word := range words {
			if got := strings.Fields(must("get", word, "-o", "name")); len(got) != len(names) {
				t.Errorf("get %s: %q", word, got)
			}
		}
		one := names[0]
		_, name, _ := strings.Cut(one, "/")
		for _, form := range []string{"", "wide", "name", "json", "yaml", "jsonpath={.metadata.name}", "custom-columns=N:.metadata.name,K:.kind"} {
			text := must("get", one, "-o", form)
			if all := must("get", k.Plural, "-o", strings.Replace(form, "{.m", "{.items[*].m", 1)); !strings.Contains(text, name) || !strings.Contains(all, name) {
				t.Errorf("get %s -o %s: %q %q", one, form, text, all)
			}
			switch form {
			case "json":
				if o, err := v1.Kinds.Decode([]byte(text)); err != nil || o.Meta().Name != name || !json.Valid([]byte(text)) {
					t.Errorf("get %s -o json: %v", one, err)
				}
			case "yaml":
				docs, err := manifest.Read(strings.NewReader(text), "-")
				if k.Written() && (err != nil || len(docs) != 1) {
					t.Errorf("get %s -o yaml: %v", one, err)
				}
			}
		}
		if text := must("describe", one); !strings.HasPrefix(text, k.Name+" "+name+"\n") {
			t.Errorf("describe %s: %q", one, text)
		}
		must("explain", strings.ToLower(k.Name))
		must("schema", k.Plural)
	}
	if text := must("get", "all"); strings.Count(text, "NAME ") != len(v1.Kinds)-1 {
		t.Errorf("get all: %s", text)
	}
}
