package v1

import "warren.io/warren/apis/meta"

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
