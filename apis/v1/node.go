package v1

import "warren.io/warren/apis/meta"

// Node is a machine that runs tasks.
type Node = meta.Resource[NodeSpec, NodeStatus]

// NodeSpec is what people want of a node; what it is stands in its status.
type NodeSpec struct {
	// Unschedulable nodes get no new tasks; those that are there stay.
	Unschedulable bool `json:"unschedulable,omitempty"`
	// Drain takes the tasks away from an unschedulable node: Gentle, Force or, left out, not at all.
	Drain DrainMode `json:"drain,omitempty"`
	// Role is what the node shall be: manager or worker. Left out, it stays what it joined as.
	Role Role `json:"role,omitempty"`
}

// DrainMode says how the tasks of a node are replaced elsewhere. Those of global services stop and come back with its end.
type DrainMode string

// The ways to drain.
const (
	DrainGentle DrainMode = "Gentle" // a task goes when its successor on another node is ready, one at a time in each service
	DrainForce  DrainMode = "Force"  // all go at once, also where no other node can take them
)

// NodeStatus is written by the node's own agent (what it is) and by the leader (Ready, State, Subnet).
type NodeStatus struct {
	// OS and Arch as Go names them: linux, amd64.
	OS   string `json:"os,omitempty"`
	Arch string `json:"arch,omitempty"`
	// Hostname, Kernel and Version (of warren) are for people.
	Hostname string `json:"hostname,omitempty"`
	Kernel   string `json:"kernel,omitempty"`
	Version  string `json:"version,omitempty"`
	// Role is what it is: manager or worker.
	Role Role `json:"role,omitempty"`
	// Address is the HOST:PORT at which other nodes reach it, if it listens.
	Address string `json:"address,omitempty"`
	// Capacity is what tasks may reserve in all.
	Capacity ResourceList `json:"capacity,omitzero"`

	// Identity is the SHA-256 of the public key that the node joined with, in hex; empty for the first manager.
	Identity string `json:"identity,omitempty"`

	// Trusts are the names of the authorities that it believes, sorted and with commas.
	Trusts string `json:"trusts,omitempty"`
	// Signer is the name of the one that has signed what it shows.
	Signer string `json:"signer,omitempty"`

	// State: Ready, Suspect or Down.
	State NodeState `json:"state,omitempty"`
	// Subnet is the node's part of the task network, e.g. 10.0.1.0/24.
	Subnet string `json:"subnet,omitempty"`
	// Conditions: Ready.
	Conditions meta.Conditions `json:"conditions,omitempty"`
}

// NodeState is what the leader makes of a node's silence.
type NodeState string

// The states of a node.
const (
	NodeReady   NodeState = "Ready"
	NodeSuspect NodeState = "Suspect" // silent for a while: gets no new tasks
	NodeDown    NodeState = "Down"    // its tasks are replaced elsewhere
)

// ConditionReady of a Node is True while its agent is heard.
const ConditionReady = "Ready"

// Kind implements meta.Spec.
func (*NodeSpec) Kind() string { return "Node" }

// Default implements meta.Spec.
func (*NodeSpec) Default() {}

// Validate implements meta.Spec.
func (s *NodeSpec) Validate(p *meta.Problems, at string) {
	modes := []string{string(DrainGentle), string(DrainForce)}
	if s.Role != "" && !contains(nodeRoles, string(s.Role)) {
		p.Add(at+".role", "%s", oneOf(string(s.Role), nodeRoles))
	}
	switch {
	case s.Drain == "":
	case !contains(modes, string(s.Drain)):
		p.Add(at+".drain", "%s", oneOf(string(s.Drain), modes))
	case !s.Unschedulable:
		p.Add(at+".unschedulable", "must be true while the node is drained")
	}
}

// nodeRemovable: what a node that lives runs has to go first, at once and by somebody's own wish.
func nodeRemovable(o meta.Object) string {
	if n := o.(*Node); n.Status.State != NodeDown && n.Spec.Drain != DrainForce {
		return "the node is not Down; one that lives is removed only while it is drained by force"
	}
	return ""
}

// taskHome is the node whose agent holds a task.
func taskHome(o meta.Object) meta.Key {
	if node := o.(*Task).Spec.Node; node != "" {
		return meta.Key{Kind: "Node", Name: node}
	}
	return meta.Key{}
}
