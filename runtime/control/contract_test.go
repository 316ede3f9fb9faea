package control

import (
	"slices"
	"strings"
	"testing"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
)

func reads(kinds ...string) (out []Input) {
	for _, k := range kinds {
		out = append(out, Input{Kind: k})
	}
	return out
}

func TestCheckContracts(t *testing.T) {
	scheduler := Contract{Name: "scheduler", Reads: reads("Task", "Node"), Writes: []string{"Task.spec.node", "Task.status.pending"}}
	for _, c := range []struct {
		name string
		all  []Contract
		want string // part of the error; "" is none
	}{
		{"none", nil, ""},
		{"one", []Contract{scheduler}, ""},
		{"to create is another right than to change", []Contract{scheduler, {Name: "reconciler", Reads: reads("Task"), Writes: []string{"Task"}}}, ""},
		{"siblings", []Contract{scheduler, {Name: "agent", Reads: reads("Task"), Writes: []string{"Task.status.{phase,ready}"}}}, ""},
		{"no name", []Contract{{Reads: reads("Task")}}, "empty"},
		{"same name", []Contract{scheduler, scheduler}, "used twice"},
		{"same field", []Contract{scheduler, {Name: "b", Reads: reads("Task"), Writes: []string{"Task.spec.node"}}}, "scheduler and b overlap"},
		{"a field and its part", []Contract{scheduler, {Name: "b", Reads: reads("Task"), Writes: []string{"Task.status"}}}, "overlap"},
		{"in braces", []Contract{scheduler, {Name: "b", Reads: reads("Task"), Writes: []string{"Task.status.{phase, pending}"}}}, "both write Task.status.pending"},
		{"two that create", []Contract{{Name: "a", Reads: reads("Task"), Writes: []string{"Task"}}, {Name: "b", Reads: reads("Task"), Writes: []string{"Task"}}}, "overlap"},
		{"reads an unknown kind", []Contract{{Name: "a", Reads: reads("Tusk")}}, `unknown kind "Tusk"`},
		{"works on what it does not read", []Contract{{Name: "a", Kind: "Node", Reads: reads("Task")}}, "works on Node but does not read it"},
		{"writes what it does not read", []Contract{{Name: "a", Reads: reads("Task"), Writes: []string{"Node.status.state"}}}, "does not read Node"},
		{"finalizes what it does not read", []Contract{{Name: "a", Reads: reads("Task"), Finalizer: []string{"Node"}}}, "finalizes Node"},
		{"no such field", []Contract{{Name: "a", Reads: reads("Task"), Writes: []string{"Task.status.{phase,reddy}"}}}, "Task.status.reddy, which is no field"},
		{"a field of an embedded struct", []Contract{{Name: "a", Reads: reads("Service"), Writes: []string{"Service.spec.restart.delay"}}}, ""},
	} {
		err := CheckContracts(v1.Kinds, c.all)
		switch {
		case err == nil && c.want != "":
			t.Errorf("%s: is accepted", c.name)
		case err != nil && (c.want == "" || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
		}
	}
}

func TestExpand(t *testing.T) {
	got := expand([]string{"Task", "Task.spec.node", "Node.status.{state, subnet}"})
	if want := []string{"Task", "Task.spec.node", "Node.status.state", "Node.status.subnet"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestInputItems(t *testing.T) {
	s := service("web")
	for _, c := range []struct {
		name     string
		contract Contract
		in       Input
		want     []string
	}{
		{"own kind", Contract{Kind: "Service"}, Input{Kind: "Service"}, []string{"web"}},
		{"another kind", Contract{Kind: "Node"}, Input{Kind: "Service"}, nil},
		{"one item", Contract{}, Input{Kind: "Service"}, []string{""}},
		{"asked for", Contract{Kind: "Node"}, Input{Kind: "Service", Items: func(_, _ meta.Object) []string { return []string{"n1"} }}, []string{"n1"}},
		{"no items", Contract{}, Input{Kind: "Service", Items: NoItems}, nil},
	} {
		if got := c.in.items(&c.contract, nil, s); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if got := c.in.items(&c.contract, s, nil); !slices.Equal(got, c.want) {
			t.Errorf("%s, deleted: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestGraph(t *testing.T) {
	got := Graph([]Contract{{Name: "a", Runs: OnLeader, Reads: reads("Task", "Node")}, {Name: "b", Kind: "Task", Reads: reads("Task"), Writes: []string{"Task"}}})
	if want := []string{"a\tleader\tone\tTask Node\t-", "b\t\tTask\tTask\tTask"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
