// Package authority replaces what vouches for all that belong to the cluster, without interruption: a new one is believed by all
// managers before it signs anything, and the old one until nobody shows a certificate of it any more. Each step is one commit, and
// all that it depends on is in the store, so it does not matter who dies when.
package authority

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
)

// Name of the controller.
const Name = "authority"

// Keys makes and opens what the controller itself cannot.
type Keys interface {
	// Open returns it with its secrets opened.
	Open(*v1.Authority) (*v1.Authority, error)
	// Make makes a new authority that an opened one endorses: certificate and endorsement in PEM, and the key.
	Make(opened *v1.Authority) (certificate, endorsement string, key []byte, err error)
}

// Controller takes one step after the other.
type Controller struct {
	Keys Keys
	Self string // the node that leads, which starts anew last
}

// Contract implements control.Controller.
func (Controller) Contract() control.Contract {
	return control.Contract{
		Name: Name, Runs: control.OnLeader,
		Reads:  []control.Input{{Kind: "Authority"}, {Kind: "Cluster"}, {Kind: "Node"}, {Kind: "User"}},
		Writes: []string{"Authority.spec.{certificate,key,number,next,nextKey,former,endorsement}", "Cluster.status.{authorities,rotation,waiting,turn}"},
	}
}

// Reconcile implements control.Controller.
func (c Controller) Reconcile(_ context.Context, tx *control.Tx, _ string) (control.Result, error) {
	a, ok := control.Get[v1.Authority](tx, v1.AuthorityName)
	cluster, known := control.Get[v1.Cluster](tx, v1.ClusterName)
	if !ok || !known {
		return control.Result{}, nil
	}
	step := c.look(tx, a, cluster)
	next, err := c.advance(tx, step, a, cluster)
	if err != nil {
		return control.Result{}, fmt.Errorf("rotate the authority: %w", err)
	}
	if next != a {
		control.Modify(tx, a, func(x *v1.Authority) { x.Spec = next.Spec })
	}
	if next.Spec.Number > 0 {
		now := c.look(tx, next, cluster)
		control.Modify(tx, cluster, func(x *v1.Cluster) { x.Status = now.status(next) })
	}
	return control.Result{}, nil
}

// step is where a rotation stands.
type step struct {
	managers []string // that do not believe exactly what they should
	away     []string // managers that are not Ready
	nodes    []string // that show something old
	users    []string
	turn     string
}

// look compares what is believed and shown with what should be.
func (c Controller) look(tx *control.Tx, a *v1.Authority, cluster *v1.Cluster) (s step) {
	pins := v1.Pins(a.Spec.Believed())
	if len(pins) == 0 {
		return s
	}
	leave := a.Spec.Number > 0 && cluster.Spec.LeaveBehind == a.Spec.Number
	signer := pins[0]
	slices.Sort(pins)
	believed := strings.Join(pins, ",")
	for _, n := range control.List[v1.Node](tx) {
		down := n.Status.State == v1.NodeDown
		if leave && down {
			continue
		}
		name := n.Metadata.Name
		if n.Status.Signer != signer {
			s.nodes = append(s.nodes, name)
		}
		if n.Status.Role == v1.RoleWorker || n.Status.Role == "" && n.Spec.Role == v1.RoleWorker {
			continue
		}
		if n.Status.State != v1.NodeReady {
			s.away = append(s.away, name)
		}
		if n.Status.Trusts == believed {
			continue
		}
		s.managers = append(s.managers, name)
		if !down && (s.turn == "" || s.turn == c.Self) {
			s.turn = name
		}
	}
	if slices.ContainsFunc(s.away, func(name string) bool { return name != s.turn }) {
		s.turn = "" // one more would be one too many
	}
	for _, u := range control.List[v1.User](tx) {
		if !leave && u.Status.Signer != signer {
			s.users = append(s.users, u.Metadata.Name)
		}
	}
	return s
}

// advance takes the step that is due, if one is. What it returns is opened, since all is sealed anew.
func (c Controller) advance(tx *control.Tx, s step, a *v1.Authority, cluster *v1.Cluster) (*v1.Authority, error) {
	introduce := a.Spec.Next == "" && a.Spec.Former == "" && cluster.Spec.Authority > a.Spec.Number && len(s.managers) == 0
	renew := a.Spec.Next != "" && len(s.managers) == 0
	forget := a.Spec.Former != "" && len(s.managers)+len(s.nodes)+len(s.users) == 0
	if !introduce && !renew && !forget {
		return a, nil
	}
	next, err := c.Keys.Open(a)
	if err != nil {
		return nil, err
	}
	x := &next.Spec
	switch {
	case introduce:
		if x.Next, x.Endorsement, x.NextKey.Plain, err = c.Keys.Make(next); err != nil {
			return nil, err
		}
		x.Number = cluster.Spec.Authority
		tx.Event(a, "Introduced", "authority %d is to be believed", x.Number)
	case renew:
		x.Certificate, x.Former, x.Next = x.Next, x.Certificate, ""
		x.Key, x.NextKey = meta.Secret{Plain: x.NextKey.Plain}, meta.Secret{}
		tx.Event(a, "Switched", "authority %d signs certificates now", x.Number)
	case forget:
		x.Former, x.Endorsement = "", ""
		tx.Event(a, "Replaced", "only authority %d is believed now", x.Number)
	}
	return next, nil
}

// status is what people and nodes are told. What was just decided is looked at with the next change.
func (s step) status(a *v1.Authority) (out v1.ClusterStatus) {
	out.Authorities = a.Spec.Believed()
	switch {
	case a.Spec.Next != "":
		out.Rotation, out.Waiting = v1.RotationIntroduce, named("node/", s.managers)
	case a.Spec.Former != "":
		out.Rotation, out.Waiting = v1.RotationRenew, slices.Concat(named("node/", s.nodes), named("user/", s.users))
	case len(s.managers) > 0:
		out.Rotation, out.Waiting = v1.RotationForget, named("node/", s.managers)
	}
	out.Turn = s.turn
	return out
}

func named(kind string, names []string) (out []string) {
	for _, n := range names {
		out = append(out, kind+n)
	}
	return out
}
