package v1

import "warren.io/warren/apis/meta"

// Node is a machine that runs tasks.
type Node = meta.Resource[NodeSpec, NodeStatus]

// NodeSpec is empty in this release: a node describes itself in its status.
type NodeSpec struct{}

// NodeStatus is written by the node's own agent (what it is) and by the leader (Ready, State, Subnet).
type NodeStatus struct {
	// OS and Arch as Go names them: linux, amd64.
	OS   string `json:"os,omitempty"`
	Arch string `json:"arch,omitempty"`
	// Hostname, Kernel and Version (of warren) are for people.
	Hostname string `json:"hostname,omitempty"`
	Kernel   string `json:"kernel,omitempty"`
	Version  string `json:"version,omitempty"`
	// Capacity is what tasks may reserve in all.
	Capacity ResourceList `json:"capacity,omitzero"`

	// Identity is the SHA-256 of the public key that the node joined with, in hex; empty for the first manager.
	Identity string `json:"identity,omitempty"`

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
func (*NodeSpec) Validate(*meta.Problems, string) {}
