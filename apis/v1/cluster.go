package v1

import (
	"net/netip"

	"warren.io/warren/apis/meta"
)

// Cluster is the one resource with settings of the whole cluster; its name is always "warren".
type Cluster = meta.Resource[ClusterSpec, ClusterStatus]

// ClusterName is the name of the one Cluster.
const ClusterName = "warren"

// ClusterSpec is set when the cluster is made.
type ClusterSpec struct {
	// ID tells clusters apart: an agent obeys only the one it belongs to.
	ID string `json:"id"`
	// TaskNetwork is cut into one /24 for each node. Default 10.0.0.0/16.
	TaskNetwork string `json:"taskNetwork,omitempty"`
}

// ClusterStatus is empty in this release.
type ClusterStatus struct{}

// DefaultTaskNetwork is the network of all tasks where nothing else was said.
const DefaultTaskNetwork = "10.0.0.0/16"

// Kind implements meta.Spec.
func (*ClusterSpec) Kind() string { return "Cluster" }

// Default implements meta.Spec.
func (s *ClusterSpec) Default() {
	if s.TaskNetwork == "" {
		s.TaskNetwork = DefaultTaskNetwork
	}
}

// Validate implements meta.Spec.
func (s *ClusterSpec) Validate(p *meta.Problems, at string) {
	n, err := netip.ParsePrefix(s.TaskNetwork)
	if err != nil || !n.Addr().Is4() || n.Bits() > 23 || n.Bits() < 8 || n.Masked() != n {
		p.Add(at+".taskNetwork", "%q is no network for tasks; write an IPv4 network between /8 and /23 like %s", s.TaskNetwork, DefaultTaskNetwork)
	}
}
