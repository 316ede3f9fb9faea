package authority

import (
	"encoding/pem"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/store"
)

func certificate(name string) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte(name)}))
}

func pin(name string) string { return v1.PinOf([]byte(name)) }

// believes is what nodes say that believe several authorities.
func believes(names ...string) string {
	for i, n := range names {
		names[i] = pin(n)
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

// safe makes authorities that are named one after the other.
type safe struct{ locked bool }

// Open implements Keys.
func (s *safe) Open(a *v1.Authority) (*v1.Authority, error) {
	if s.locked {
		return nil, errors.New("locked")
	}
	return a.Clone().(*v1.Authority), nil
}

// Make implements Keys.
func (*safe) Make(*v1.Authority) (string, string, []byte, error) {
	return certificate("new"), certificate("endorsement"), []byte("new key"), nil
}

// world is a store that only the controller and the test write.
type world struct {
	t       *testing.T
	c       Controller
	objects map[meta.Key]meta.Object
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, c: Controller{Keys: &safe{}, Self: "m1"}, objects: map[meta.Key]meta.Object{}}
	cluster := meta.New[v1.Cluster](v1.ClusterName)
	cluster.Spec.Authority = 1
	a := meta.New[v1.Authority](v1.AuthorityName)
	a.Spec.Certificate, a.Spec.Key.Plain = certificate("old"), []byte("old key")
	w.put(cluster, a)
	for _, name := range []string{"m1", "m2", "m3", "w1"} {
		n := meta.New[v1.Node](name)
		n.Status.State, n.Status.Role = v1.NodeReady, v1.RoleManager
		if name == "w1" {
			n.Status.Role = v1.RoleWorker
		}
		n.Status.Trusts, n.Status.Signer = believes("old"), pin("old")
		w.put(n)
	}
	u := meta.New[v1.User]("anna")
	u.Status.Signer = pin("old")
	w.put(u)
	return w
}

func (w *world) put(all ...meta.Object) {
	for _, o := range all {
		w.objects[o.Key()] = o
	}
}

func (w *world) node(name string, f func(*v1.NodeStatus)) {
	n := w.objects[meta.Key{Kind: "Node", Name: name}].Clone().(*v1.Node)
	f(&n.Status)
	w.put(n)
}

// step reconciles once, on all that is there.
func (w *world) step() (changed bool, err error) {
	w.t.Helper()
	contract := w.c.Contract()
	tx := control.NewTx(control.NewSnapshot(v1.Kinds, slices.Collect(maps.Values(w.objects)), 1), &contract, time.Now())
	if _, err := w.c.Reconcile(w.t.Context(), tx, ""); err != nil {
		return false, err
	}
	ops, err := tx.Ops()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, op := range ops {
		if op.Verb == store.Put && op.Key.Kind != v1.EventKind.Name {
			w.put(op.Object)
			changed = true
		}
	}
	return changed, nil
}

// is reconciles until nothing changes, and compares.
func (w *world) is(when string, phase v1.RotationPhase, turn string, waiting ...string) {
	w.t.Helper()
	for range 5 {
		changed, err := w.step()
		if err != nil {
			w.t.Fatal(err)
		}
		if !changed {
			break
		}
	}
	s := w.objects[meta.Key{Kind: "Cluster", Name: v1.ClusterName}].(*v1.Cluster).Status
	if s.Rotation != phase || s.Turn != turn || !slices.Equal(s.Waiting, waiting) {
		w.t.Errorf("%s: %q, turn of %q, waiting for %q", when, s.Rotation, s.Turn, s.Waiting)
	}
}

func (w *world) authority() v1.AuthoritySpec {
	return w.objects[meta.Key{Kind: "Authority", Name: v1.AuthorityName}].(*v1.Authority).Spec
}

// introduced brings the world to where the new one signs.
func (w *world) introduced() {
	w.t.Helper()
	w.is("begun", v1.RotationIntroduce, "m2", "node/m1", "node/m2", "node/m3")
	both := func(s *v1.NodeStatus) { s.Trusts = believes("old", "new") }
	w.node("m2", both)
	w.is("one believes", v1.RotationIntroduce, "m3", "node/m1", "node/m3")
	w.node("m3", both)
	w.is("two believe", v1.RotationIntroduce, "m1", "node/m1")
	if a := w.authority(); a.Certificate != certificate("old") || string(a.Key.Plain) != "old key" || a.Number != 1 {
		w.t.Errorf("the new one signs too early: %+v", a)
	}
	w.node("m1", both)
	w.is("all managers believe", v1.RotationRenew, "", "node/m1", "node/m2", "node/m3", "node/w1", "user/anna")
	if a := w.authority(); a.Certificate != certificate("new") || a.Former != certificate("old") || string(a.Key.Plain) != "new key" || a.NextKey.Plain != nil {
		w.t.Errorf("switched: %+v", a)
	}
}

func TestPhases(t *testing.T) {
	w := newWorld(t)
	w.introduced()
	for _, name := range []string{"m1", "m2", "m3", "w1"} {
		w.node(name, func(s *v1.NodeStatus) { s.Signer = pin("new") })
	}
	w.is("nodes are renewed", v1.RotationRenew, "", "user/anna")
	u := meta.New[v1.User]("anna")
	u.Status.Signer = pin("new")
	w.put(u)
	w.is("all are renewed", v1.RotationForget, "m2", "node/m1", "node/m2", "node/m3")
	if a := w.authority(); a.Believed() != certificate("new") || a.Endorsement != "" {
		t.Errorf("the old one is believed: %+v", a)
	}
	for _, name := range []string{"m2", "m3", "m1"} {
		w.node(name, func(s *v1.NodeStatus) { s.Trusts = believes("new") })
	}
	w.is("done", "", "")
}

// One after the other, and none while another is away: two of three would be missing.
func TestTurns(t *testing.T) {
	w := newWorld(t)
	w.is("begun", v1.RotationIntroduce, "m2", "node/m1", "node/m2", "node/m3")
	w.node("m2", func(s *v1.NodeStatus) { s.State = v1.NodeSuspect })
	w.is("it starts anew", v1.RotationIntroduce, "m2", "node/m1", "node/m2", "node/m3")
	w.node("m2", func(s *v1.NodeStatus) { s.State = v1.NodeDown })
	w.is("it does not come back", v1.RotationIntroduce, "", "node/m1", "node/m2", "node/m3")
	w.node("m2", func(s *v1.NodeStatus) { s.State, s.Trusts = v1.NodeSuspect, believes("old", "new") })
	w.is("it is not settled yet", v1.RotationIntroduce, "", "node/m1", "node/m3")
	w.node("m2", func(s *v1.NodeStatus) { s.State = v1.NodeReady })
	w.is("it is back", v1.RotationIntroduce, "m3", "node/m1", "node/m3")
}

// What is off is waited for, unless somebody gives it up.
func TestFinish(t *testing.T) {
	w := newWorld(t)
	w.introduced()
	for _, name := range []string{"m1", "m2", "m3"} {
		w.node(name, func(s *v1.NodeStatus) { s.Signer = pin("new") })
	}
	w.is("a worker is late", v1.RotationRenew, "", "node/w1", "user/anna")
	cluster := w.objects[meta.Key{Kind: "Cluster", Name: v1.ClusterName}].Clone().(*v1.Cluster)
	cluster.Spec.LeaveBehind = 1
	w.put(cluster)
	w.is("it lives", v1.RotationRenew, "", "node/w1")
	w.node("w1", func(s *v1.NodeStatus) { s.State = v1.NodeDown })
	w.is("it is down", v1.RotationForget, "m2", "node/m1", "node/m2", "node/m3")
}

// Nothing happens without a wish, nor without the key.
func TestNoRotation(t *testing.T) {
	w := newWorld(t)
	w.c.Keys = &safe{locked: true}
	if _, err := w.step(); err == nil || w.authority().Next != "" {
		t.Errorf("with a locked key: %v", err)
	}
	w.put(meta.New[v1.Cluster](v1.ClusterName))
	if changed, err := w.step(); changed || err != nil {
		t.Errorf("without a wish: %v %v", changed, err)
	}
}
