package meta

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestCheckName(t *testing.T) {
	for _, ok := range []string{"a", "web-3-7", "a.b", "9", strings.Repeat("a", MaxName)} {
		if why := CheckName(ok); why != "" {
			t.Errorf("%q: %s", ok, why)
		}
	}
	for _, bad := range []string{"", "-a", "a-", "A", "a_b", "a/b", "..", "ä", " a", strings.Repeat("a", MaxName+1)} {
		if CheckName(bad) == "" {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestCheckLabels(t *testing.T) {
	many := map[string]string{}
	for i := range MaxLabels + 1 {
		many[strings.Repeat("k", i+1)] = ""
	}
	for _, c := range []struct {
		labels map[string]string
		bad    int
	}{
		{map[string]string{"app": "web", "example.org/tier": "front", "empty": ""}, 0},
		{map[string]string{"": "x"}, 1},
		{map[string]string{"a b": "x", "ok": "a b"}, 2},
		{map[string]string{"a": strings.Repeat("v", MaxLabelValue+1)}, 1},
		{many, 1},
	} {
		var p Problems
		if CheckLabels(&p, "l", c.labels); len(p.List) != c.bad {
			t.Errorf("%v: %d problems, want %d: %v", c.labels, len(p.List), c.bad, p.List)
		}
	}
}

func TestSuggest(t *testing.T) {
	words := []string{"image", "replicas", "resources", "restart"}
	for in, want := range map[string]string{"iamge": "image", "replica": "replicas", "resorces": "resources", "xyz": "", "": "",
		"restrat": "restart", "completely-different": ""} {
		if got := Suggest(in, words); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestConditions(t *testing.T) {
	t1, t2 := time.Unix(1, 0), time.Unix(2, 0)
	first := Conditions(nil).With(Condition{Type: "Ready", Status: True}, t1)
	same := first.With(Condition{Type: "Ready", Status: True, Reason: "Still"}, t2)
	turned := same.With(Condition{Type: "Ready", Status: False}, t2)
	if got := same.Find("Ready"); !got.TransitionTime.Equal(t1) || got.Reason != "Still" {
		t.Errorf("an unchanged status moved its time: %+v", got)
	}
	if got := turned.Find("Ready"); !got.TransitionTime.Equal(t2) {
		t.Errorf("a changed status kept its time: %+v", got)
	}
	if first[0].Reason != "" {
		t.Error("With changed its receiver")
	}
	if got := turned.Find("Other"); got != (Condition{}) {
		t.Errorf("found %+v", got)
	}
}

func TestCloneOfSharesNothing(t *testing.T) {
	type inner struct{ P *int }
	type outer struct {
		M map[string][]int
		S []inner
		T time.Time
	}
	n := 1
	a := &outer{M: map[string][]int{"a": {1}}, S: []inner{{&n}}, T: time.Unix(5, 0)}
	b := CloneOf(a)
	if !reflect.DeepEqual(a, b) {
		t.Fatalf("%+v is no copy of %+v", b, a)
	}
	b.M["a"][0], *b.S[0].P, b.M["b"] = 2, 2, nil
	if a.M["a"][0] != 1 || n != 1 || len(a.M) != 1 {
		t.Errorf("a change of the copy changed the original: %+v", a)
	}
}
