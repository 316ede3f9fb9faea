package main

import (
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/controllers/agent/images"
	agentnode "warren.io/warren/controllers/agent/node"
	"warren.io/warren/controllers/agent/tasks"
	"warren.io/warren/controllers/authority"
	"warren.io/warren/controllers/events"
	"warren.io/warren/controllers/managers"
	"warren.io/warren/controllers/nodes"
	"warren.io/warren/controllers/reconciler"
	"warren.io/warren/controllers/scheduler"
	"warren.io/warren/controllers/tokens"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/host"
)

// leaderControllers are all controllers that run where the leader is.
func leaderControllers(alive nodes.Liveness) []control.Controller {
	return []control.Controller{
		reconciler.Controller{},
		scheduler.Controller{},
		nodes.Controller{Liveness: alive},
		events.Controller{},
		tokens.Controller{},
		control.Collector{Kinds: v1.Kinds},
	}
}

// agentControllers are all controllers that run on every node.
func agentControllers(n *node, m host.Machine, net host.Network, t host.Tasks, k host.Keeper) []control.Controller {
	id := n.id
	return []control.Controller{
		agentnode.Controller{Node: id.Name, Cluster: id.Cluster, Machine: m, Network: net, Pace: n.beatEach, Role: id.role(), Address: n.advertise, Wish: n.wish, Keys: n.keyring},
		tasks.Controller{Node: id.Name, Cluster: id.Cluster, Host: t},
		images.Controller{Cluster: id.Cluster, Host: k},
	}
}

// contracts are those of all controllers, for the graph and for the check at start that no two write the same.
func contracts() []control.Contract {
	var out []control.Contract
	for _, c := range leaderControllers(nil) {
		out = append(out, c.Contract())
	}
	out = append(out, managers.Controller{}.Contract(), authority.Controller{}.Contract())
	return append(out, agentContracts()...)
}

// agentContracts are those of the controllers on every node. They are also what a worker may write.
func agentContracts() []control.Contract {
	var out []control.Contract
	for _, c := range agentControllers(&node{}, nil, nil, nil, nil) {
		out = append(out, c.Contract())
	}
	return out
}
