package control

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// newTx is a transaction of the labeler on some services.
func newTx(objects ...meta.Object) *Tx {
	c := labeler(nil).contract
	return NewTx(NewSnapshot(v1.Kinds, objects, 7), &c, epoch)
}

func ops(t *testing.T, tx *Tx) []store.Op {
	t.Helper()
	out, err := tx.Ops()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestBreachesOfContract(t *testing.T) {
	web := service("web")
	held := service("held")
	held.Metadata.Finalizers = []string{"labeler"}
	for _, c := range []struct {
		want string
		do   func(tx *Tx)
	}{
		{"reads Node", func(tx *Tx) { List[v1.Node](tx) }},
		{"reads Event", func(tx *Tx) { Get[v1.Event](tx, "x") }},
		{"reads Cluster", func(tx *Tx) { Where[v1.Cluster](tx, "a", "b") }},
		{"changes Service/web spec.image", func(tx *Tx) { Modify(tx, web, func(s *v1.Service) { s.Spec.Image = "other" }) }},
		{"changes Service/web metadata.labels", func(tx *Tx) { Modify(tx, web, func(s *v1.Service) { s.Metadata.Labels = map[string]string{"a": "b"} }) }},
		{"creates or deletes Service/web", func(tx *Tx) { tx.Delete(web) }},
		{"changes Service/held metadata.deleted", func(tx *Tx) { tx.Delete(held) }},
		{"creates or deletes Service/new", func(tx *Tx) { tx.Create(service("new")) }},
		{"creates an invalid Task/Bad", func(tx *Tx) { tx.Create(task("Bad", meta.Owner{})) }},
		{"creates an invalid Task/", func(tx *Tx) { tx.Create(task("", meta.Owner{})) }},
		{"twice", func(tx *Tx) { tx.Create(task("a", meta.Owner{})); tx.Create(task("a", meta.Owner{})) }},
		{"more than 100", func(tx *Tx) {
			for i := range store.MaxOps + 1 {
				tx.Create(task(fmt.Sprintf("t%d", i), meta.Owner{}))
			}
		}},
	} {
		tx := newTx(web, held)
		c.do(tx)
		if _, err := tx.Ops(); !errors.Is(err, ErrContract) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v; want %q", err, c.want)
		}
	}
}

func TestWritesThatChangeNothingAreDropped(t *testing.T) {
	web := service("web")
	tx := newTx(web)
	Modify(tx, web, func(s *v1.Service) { s.Status.Conditions = meta.Conditions{} }) // nil and empty are the same
	Modify(tx, web, func(s *v1.Service) { s.Status.Ready = 1 })
	Modify(tx, web, func(s *v1.Service) { s.Status.Ready = 0 })
	tx.Finalize(web, false)
	if got := ops(t, tx); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestModifyAddsUp(t *testing.T) {
	web := service("web")
	web.Metadata.Revision = 5
	tx := newTx(web)
	Modify(tx, web, func(s *v1.Service) { s.Status.Ready = 1 })
	Modify(tx, web, func(s *v1.Service) { s.Status.Ready++ })
	got := ops(t, tx)
	if len(got) != 1 || got[0].Guard != 5 || got[0].Object.(*v1.Service).Status.Ready != 2 || got[0].Object.Meta().Generation != 1 {
		t.Errorf("%+v", got)
	}
	if web.Status.Ready != 0 {
		t.Error("the snapshot's object was changed")
	}
}

func TestGenerationCountsSpecs(t *testing.T) {
	c := Contract{Name: "scheduler", Reads: reads("Task"), Writes: []string{"Task.spec.node", "Task.status"}}
	old := task("a", meta.Owner{})
	old.Metadata.Generation = 3
	tx := NewTx(NewSnapshot(v1.Kinds, []meta.Object{old}, 1), &c, epoch)
	Modify(tx, old, func(t *v1.Task) { t.Spec.Node = "n1" })
	if got := ops(t, tx); got[0].Object.Meta().Generation != 4 {
		t.Errorf("generation %d, want 4", got[0].Object.Meta().Generation)
	}
}

func TestCreation(t *testing.T) {
	tx := newTx()
	tx.Create(&v1.Task{TypeMeta: task("a", meta.Owner{}).TypeMeta, Metadata: meta.Metadata{Name: "a"},
		Spec: v1.TaskSpec{Service: "web", TaskTemplate: v1.TaskTemplate{Image: "hello:1"}}})
	o := ops(t, tx)[0]
	m := o.Object.Meta()
	if o.Guard != store.Absent || m.Generation != 1 || !m.Created.Equal(epoch) || o.Object.(*v1.Task).Spec.Restart.Policy != v1.RestartAlways {
		t.Errorf("%+v", o.Object)
	}
}

func TestFinalizers(t *testing.T) {
	web := service("web")
	tx := newTx(web)
	tx.Finalize(web, true)
	held := ops(t, tx)[0].Object.(*v1.Service)
	if f := held.Metadata.Finalizers; len(f) != 1 || f[0] != "labeler" {
		t.Fatalf("finalizers %q", f)
	}

	marked := held.Clone().(*v1.Service)
	marked.Metadata.Deleted = epoch.Add(-time.Second)
	tx = newTx(marked)
	tx.Delete(marked)
	if got := ops(t, tx); len(got) != 0 {
		t.Errorf("deleted twice: %+v", got)
	}
	tx = newTx(marked)
	tx.Finalize(marked, false)
	if got := ops(t, tx); len(got) != 1 || got[0].Verb != store.Delete {
		t.Errorf("the last finalizer leaves %+v", got)
	}

	shared := marked.Clone().(*v1.Service)
	shared.Metadata.Finalizers = []string{"labeler", "other"}
	tx = newTx(shared)
	tx.Finalize(shared, false)
	if got := ops(t, tx); got[0].Verb != store.Put || got[0].Object.Meta().Finalizers[0] != "other" {
		t.Errorf("with another's finalizer: %+v", got)
	}
}

func TestDeleteMarksWhatIsHeld(t *testing.T) {
	held := task("a", meta.Owner{})
	held.Metadata.Finalizers = []string{"agent"}
	tx := newTx(held)
	tx.Delete(held)
	if got := ops(t, tx); got[0].Verb != store.Put || !got[0].Object.Meta().Deleted.Equal(epoch) {
		t.Errorf("%+v", got)
	}
}

func TestReads(t *testing.T) {
	a, b := task("a", meta.Owner{}), task("b", meta.Owner{})
	b.Spec.Node = "n1"
	tx := newTx(b, service("web"), a)
	if got := List[v1.Task](tx); len(got) != 2 || got[0].Metadata.Name != "a" {
		t.Errorf("list: %v", got)
	}
	if got := Where[v1.Task](tx, v1.ByNode, "n1"); len(got) != 1 || got[0] != b {
		t.Errorf("by node: %v", got)
	}
	if _, ok := Get[v1.Task](tx, "c"); ok {
		t.Error("found what is not there")
	}
	if got, ok := Get[v1.Service](tx, "web"); !ok || got.Metadata.Name != "web" {
		t.Error("did not find a service")
	}
}
