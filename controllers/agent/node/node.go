// Package node makes a machine known to the cluster and sets up its part of the task network.
package node

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/host"
)

// Name of the controller.
const Name = "agent/node"

// Controller works on the one node that it runs on.
type Controller struct {
	Node    string
	Cluster string // id of the cluster that this node belongs to
	Machine host.Machine
	Network host.Network
	Role    v1.Role
	Address string // HOST:PORT at which other nodes reach this one, if it listens
	// Wish is told what this node shall be; "" is what it is.
	Wish func(v1.Role)
	// Keys are what the node shows and believes; nil of one that has none.
	Keys Keys
	// Pace is told how often this node shall give a sign of life.
	Pace func(heartbeat time.Duration)
}

// Keys are what a node shows and believes.
type Keys interface {
	// Believe is told what the cluster says of its authorities. It does not wait until that is done.
	Believe(v1.ClusterStatus)
	// State are the names of the authorities that are believed, and of the one that has signed what is shown.
	State() (trusts, signer string)
}

// Contract implements control.Controller.
func (Controller) Contract() control.Contract {
	return control.Contract{
		Name: Name, Runs: control.OnEveryNode,
		Reads:  []control.Input{{Kind: "Node"}, {Kind: "Cluster"}},
		Writes: []string{"Node", "Node.status.{os,arch,hostname,kernel,version,capacity,role,address,trusts,signer}"},
	}
}

// Reconcile implements control.Controller.
func (c Controller) Reconcile(ctx context.Context, tx *control.Tx, _ string) (control.Result, error) {
	cluster, ok := control.Get[v1.Cluster](tx, v1.ClusterName)
	if !ok || cluster.Spec.ID != c.Cluster {
		return control.Result{}, nil
	}
	times := cluster.Spec
	times.Default()
	c.Pace(time.Duration(times.Heartbeat))
	n, ok := control.Get[v1.Node](tx, c.Node)
	if !ok {
		n = meta.New[v1.Node](c.Node)
		c.describe(n)
		tx.Create(n)
		return control.Result{}, nil
	}
	c.Wish(n.Spec.Role)
	if c.Keys != nil {
		c.Keys.Believe(cluster.Status)
	}
	control.Modify(tx, n, c.describe)
	if n.Status.Subnet == "" {
		return control.Result{}, nil
	}
	subnet, err := netip.ParsePrefix(n.Status.Subnet)
	if err == nil {
		err = c.Network.Configure(ctx, host.NetworkConfig{Subnet: subnet})
	}
	if err != nil {
		return control.Result{}, fmt.Errorf("configure network of Node/%s: %w", c.Node, err)
	}
	return control.Result{}, nil
}

func (c Controller) describe(n *v1.Node) {
	s, f := &n.Status, c.Machine.Facts()
	s.Role, s.Address = c.Role, c.Address
	if c.Keys != nil {
		s.Trusts, s.Signer = c.Keys.State()
	}
	s.OS, s.Arch, s.Hostname, s.Kernel, s.Version, s.Capacity = f.OS, f.Arch, f.Hostname, f.Kernel, f.Version, f.Capacity
}
