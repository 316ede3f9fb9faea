// Package nodes judges which nodes are alive and gives each its part of the task network.
package nodes

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
)

// Liveness knows when a node was last heard. It lives in memory: silence and its end cost no write, only transitions do.
type Liveness interface {
	// Heard returns the last sign of life of a node in its present incarnation, which is the uid of its resource; if it has not
	// beaten, when it was first asked about, and false.
	Heard(node string, uid int64, now time.Time) (time.Time, bool)
	// Matters tells how long a silence has to be for its end to be told. When that changes the table listens anew: nodes that
	// gave signs of life as seldom as they should until now get a full grace.
	Matters(silence time.Duration)
}

// Controller works on one Node at a time.
type Controller struct{ Liveness Liveness }

// Contract implements control.Controller.
func (Controller) Contract() control.Contract {
	return control.Contract{
		Name: "nodes", Kind: "Node", Runs: control.OnLeader,
		Reads: []control.Input{
			{Kind: "Node"},
			{Kind: "Cluster", Items: func(_, _ meta.Object) []string { return control.All }},
		},
		Writes: []string{"Node.status.{state,subnet,conditions}"},
	}
}

// Reconcile implements control.Controller.
func (c Controller) Reconcile(_ context.Context, tx *control.Tx, name string) (control.Result, error) {
	n, ok := control.Get[v1.Node](tx, name)
	if !ok {
		return control.Result{}, nil
	}
	times := timesOf(tx)
	c.Liveness.Matters(time.Duration(times.SuspectAfter))
	last, heard := c.Liveness.Heard(name, n.Metadata.UID, tx.Now())
	state, next := judge(tx.Now().Sub(last), times)
	if !heard && worse(n.Status.State, state) {
		state = n.Status.State // a new leader's silence is no sign of life: it believes the one before until it hears the node
	}
	subnet := n.Status.Subnet
	if subnet == "" {
		var err error
		if subnet, err = freeSubnet(tx); err != nil {
			return control.Result{}, err
		}
	}
	if n.Status.State == state && n.Status.Subnet == subnet && !n.Status.Conditions.Find(v1.ConditionReady).TransitionTime.After(tx.Now()) {
		return control.Result{After: next}, nil
	}
	if n.Status.State != state {
		tell(tx, n, state, times)
	}
	control.Modify(tx, n, func(n *v1.Node) {
		n.Status.State, n.Status.Subnet = state, subnet
		n.Status.Conditions = stamped(n.Status.Conditions, tx.Now()).With(condition(state, times), tx.Now())
	})
	return control.Result{After: next}, nil
}

// stamped takes a time that is still to come out of the condition: an earlier leader's clock was ahead, and who waits for a
// time after that one would wait for as long as it was wrong.
func stamped(all meta.Conditions, now time.Time) meta.Conditions {
	all = slices.Clone(all)
	for i := range all {
		if all[i].Type == v1.ConditionReady && all[i].TransitionTime.After(now) {
			all[i].TransitionTime = now
		}
	}
	return all
}

// timesOf are those that the cluster says; a cluster of an earlier release says none.
func timesOf(tx *control.Tx) v1.ClusterSpec {
	var spec v1.ClusterSpec
	if c, ok := control.Get[v1.Cluster](tx, v1.ClusterName); ok {
		spec = c.Spec
	}
	spec.Default()
	return spec
}

// judge turns a length of silence into a state, and says when to look again if nothing is heard.
func judge(silent time.Duration, times v1.ClusterSpec) (v1.NodeState, time.Duration) {
	suspect, down := time.Duration(times.SuspectAfter), time.Duration(times.DownAfter)
	switch {
	case silent < suspect:
		return v1.NodeReady, suspect - max(silent, 0)
	case silent < down:
		return v1.NodeSuspect, down - silent
	}
	return v1.NodeDown, 0
}

// worse tells whether a is further from Ready than b. A node that nobody judged yet is no worse than any.
func worse(a, b v1.NodeState) bool {
	return a == v1.NodeDown && b != v1.NodeDown || a == v1.NodeSuspect && b == v1.NodeReady
}

func condition(s v1.NodeState, times v1.ClusterSpec) meta.Condition {
	c := meta.Condition{Type: v1.ConditionReady, Status: meta.True, Reason: "Heard", Message: "the agent is heard"}
	switch s {
	case v1.NodeSuspect:
		c.Status, c.Reason = meta.Unknown, "Silent"
		c.Message = fmt.Sprintf("not heard for %s; gets no new tasks", time.Duration(times.SuspectAfter))
	case v1.NodeDown:
		c.Status, c.Reason = meta.False, "Down"
		c.Message = fmt.Sprintf("not heard for %s; its tasks are replaced elsewhere", time.Duration(times.DownAfter))
	}
	return c
}

func tell(tx *control.Tx, n *v1.Node, s v1.NodeState, times v1.ClusterSpec) {
	c := condition(s, times)
	if s == v1.NodeReady {
		tx.Event(n, "Ready", "node is ready")
		return
	}
	tx.Warn(n, c.Reason, "%s", c.Message)
}

// freeSubnet returns the lowest /24 of the task network that no node has. The first one is left out: it belongs to the mesh.
func freeSubnet(tx *control.Tx) (string, error) {
	cluster, ok := control.Get[v1.Cluster](tx, v1.ClusterName)
	if !ok {
		return "", fmt.Errorf("choose subnet: there is no Cluster resource yet")
	}
	taken := map[string]bool{}
	for _, n := range control.List[v1.Node](tx) {
		taken[n.Status.Subnet] = true
	}
	network, err := netip.ParsePrefix(cluster.Spec.TaskNetwork)
	if err != nil {
		return "", fmt.Errorf("choose subnet: Cluster/%s: %w", v1.ClusterName, err)
	}
	for p := after(netip.PrefixFrom(network.Addr(), 24)); network.Contains(p.Addr()); p = after(p) {
		if !taken[p.String()] {
			return p.String(), nil
		}
	}
	return "", fmt.Errorf("choose subnet: all of %s is taken", network)
}

// after is the next /24.
func after(p netip.Prefix) netip.Prefix {
	a := p.Addr().As4()
	for i := 2; i >= 0; i-- {
		if a[i]++; a[i] != 0 {
			break
		}
	}
	return netip.PrefixFrom(netip.AddrFrom4(a), 24)
}
