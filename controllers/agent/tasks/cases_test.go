package tasks

import (
	"context"
	"reflect"
	"testing"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/control/controltest"
	"warren.io/warren/runtime/host"
)

// machine answers with what the case says and notes what it is asked for.
type machine struct {
	c   *controltest.Case
	see struct {
		NotReady bool         `json:"notReady"`
		States   []host.State `json:"states"`
	}
}

// wish is what out.yaml shows of a host.Task.
type wish struct {
	Task     string `json:"task"`
	Attempt  int    `json:"attempt"`
	Failures int    `json:"failures,omitempty"`
	Digest   string `json:"digest,omitempty"`
}

// Set implements host.Tasks.
func (m *machine) Set(_ context.Context, want []host.Task) error {
	seen := []wish{}
	for _, t := range want {
		seen = append(seen, wish{t.Name, t.Attempt, t.Failures, t.ImageDigest})
	}
	m.c.Seen = seen
	return nil
}

// Observe implements host.Tasks.
func (m *machine) Observe(context.Context) ([]host.State, error) {
	if m.see.NotReady {
		return nil, host.ErrNotReady
	}
	return m.see.States, nil
}

func TestCases(t *testing.T) {
	controltest.Run(t, func(t *testing.T, c *controltest.Case) control.Controller {
		m := &machine{c: c}
		c.Decode(t, "host", &m.see)
		return Controller{Node: "n1", Cluster: "x", Host: m}
	})
}

// Every field of a status counts when two are compared by hand.
func TestSame(t *testing.T) {
	for i := range reflect.TypeFor[v1.TaskStatus]().NumField() {
		var a, b v1.TaskStatus
		name := reflect.TypeFor[v1.TaskStatus]().Field(i).Name
		change(t, reflect.ValueOf(&b).Elem().Field(i))
		if same(&a, &b) {
			t.Errorf("a change of %s is not seen", name)
		}
		if a = *meta.CloneOf(&b); !same(&a, &b) {
			t.Errorf("a copy with %s differs", name)
		}
	}
}

// change gives a field another value than zero.
func change(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(7)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Struct:
		v.Set(reflect.ValueOf(controltest.Start))
	default:
		t.Fatalf("this test does not know how to change a %s", v.Kind())
	}
}

// A whole node's reports are more than one commit takes: the rest comes with the next.
func TestManyReports(t *testing.T) {
	c := &controltest.Case{}
	k := Controller{Node: "n1", Cluster: "x", Host: &machine{c: c}}
	cluster := meta.New[v1.Cluster](v1.ClusterName)
	cluster.Spec.ID = "x"
	all := []meta.Object{cluster}
	for i := range 250 {
		o := meta.New[v1.Task]("web-" + string(rune('a'+i%26)) + "-" + string(rune('a'+i/26)))
		o.Spec.Node, o.Spec.Service, o.Spec.Image = "n1", "web", "hello:1"
		o.SetDefaults()
		all = append(all, o)
	}
	contract := k.Contract()
	tx := control.NewTx(control.NewSnapshot(v1.Kinds, all, 1), &contract, controltest.Start)
	res, err := k.Reconcile(t.Context(), tx, "")
	ops, broken := tx.Ops()
	if err != nil || broken != nil || len(ops) != 100 || res.After != 1 {
		t.Errorf("%d operations, again after %s; %v %v", len(ops), res.After, err, broken)
	}
	if n := len(c.Seen.([]wish)); n != 250 {
		t.Errorf("the host was asked for %d tasks; it must always hear of all", n)
	}
}

func TestVisible(t *testing.T) {
	sees := Visible("n1")
	mine, other, own, node := meta.New[v1.Task]("a"), meta.New[v1.Task]("b"), meta.New[v1.Node]("n1"), meta.New[v1.Node]("n2")
	mine.Spec.Node, other.Spec.Node = "n1", "n2"
	for o, want := range map[meta.Object]bool{mine: true, other: false, own: true, node: false, meta.New[v1.Cluster]("warren"): true,
		meta.New[v1.Service]("web"): true, meta.New[v1.Event]("e"): false} {
		if sees(o) != want {
			t.Errorf("%s: visible %t", o.Key(), !want)
		}
	}
}
