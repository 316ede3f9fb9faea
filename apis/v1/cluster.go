package v1

import (
	"net/netip"
	"time"

	"warren.io/warren/apis/meta"
)

// Cluster is the one resource with settings of the whole cluster; its name is always "warren".
type Cluster = meta.Resource[ClusterSpec, ClusterStatus]

// ClusterName is the name of the one Cluster.
const ClusterName = "warren"

// ClusterSpec is made with the cluster. People may change the times; ID and networks are for life.
type ClusterSpec struct {
	// ID tells clusters apart: an agent obeys only the one it belongs to.
	ID string `json:"id"`
	// TaskNetwork is cut into one /24 for each node. Default 10.0.0.0/16.
	TaskNetwork string `json:"taskNetwork,omitempty"`
	// Heartbeat is how often a node gives a sign of life. Default 3s.
	Heartbeat meta.Duration `json:"heartbeat,omitempty"`
	// SuspectAfter is how long a node may be silent before it gets no new tasks, at least twice the heartbeat. Default 6s.
	SuspectAfter meta.Duration `json:"suspectAfter,omitempty"`
	// DownAfter is how long a node may be silent before its tasks are replaced elsewhere. Default 12s.
	DownAfter meta.Duration `json:"downAfter,omitempty"`
	// Authority is the number of the authority that the cluster shall have: a greater one than there is makes a new one.
	Authority int `json:"authority,omitempty"`
	// LeaveBehind is the number of the authority whose introduction waits neither for nodes that are Down nor for users.
	LeaveBehind int `json:"leaveBehind,omitempty"`
}

// ClusterStatus is written by the leader.
type ClusterStatus struct {
	// Authorities are the certificates that vouch for who belongs to the cluster, in PEM: the one that signs first. Left out until
	// it is replaced for the first time.
	Authorities string `json:"authorities,omitempty"`
	// Rotation is how far the replacement of the authority is: Introduce, Renew, Forget; left out when it is done.
	Rotation RotationPhase `json:"rotation,omitempty"`
	// Waiting is who the rotation waits for.
	Waiting []string `json:"waiting,omitempty"`
	// Turn is the manager that may start anew now, to believe what Authorities says. They do that one after the other.
	Turn string `json:"turn,omitempty"`
}

// RotationPhase is how far the replacement of the authority is.
type RotationPhase string

// The phases of a rotation.
const (
	RotationIntroduce RotationPhase = "Introduce" // the old one signs; all managers learn to believe the new one
	RotationRenew     RotationPhase = "Renew"     // the new one signs; nodes and users get certificates of it
	RotationForget    RotationPhase = "Forget"    // the old one is believed no more; managers forget it
)

// DefaultTaskNetwork is the network of all tasks where nothing else was said.
const DefaultTaskNetwork = "10.0.0.0/16"

// Times of liveness where nothing else was said, and their bounds.
const (
	DefaultHeartbeat    = 3 * time.Second
	DefaultSuspectAfter = 6 * time.Second
	DefaultDownAfter    = 12 * time.Second

	minHeartbeat = 100 * time.Millisecond
	maxDownAfter = 24 * time.Hour
)

// Kind implements meta.Spec.
func (*ClusterSpec) Kind() string { return "Cluster" }

// Default implements meta.Spec.
func (s *ClusterSpec) Default() {
	if s.TaskNetwork == "" {
		s.TaskNetwork = DefaultTaskNetwork
	}
	for at, value := range map[*meta.Duration]time.Duration{
		&s.Heartbeat: DefaultHeartbeat, &s.SuspectAfter: DefaultSuspectAfter, &s.DownAfter: DefaultDownAfter,
	} {
		if *at == 0 {
			*at = meta.Duration(value)
		}
	}
}

// Validate implements meta.Spec.
func (s *ClusterSpec) Validate(p *meta.Problems, at string) {
	n, err := netip.ParsePrefix(s.TaskNetwork)
	if err != nil || !n.Addr().Is4() || n.Bits() > 23 || n.Bits() < 8 || n.Masked() != n {
		p.Add(at+".taskNetwork", "%q is no network for tasks; write an IPv4 network between /8 and /23 like %s", s.TaskNetwork, DefaultTaskNetwork)
	}
	if s.Authority < 0 {
		p.Add(at+".authority", "must not be negative")
	}
	heartbeat, suspect, down := time.Duration(s.Heartbeat), time.Duration(s.SuspectAfter), time.Duration(s.DownAfter)
	if heartbeat < minHeartbeat {
		p.Add(at+".heartbeat", "%s is too short; at least %s", heartbeat, minHeartbeat)
	}
	if suspect < 2*heartbeat {
		p.Add(at+".suspectAfter", "%s is too short: one lost sign of life is no silence; at least twice the heartbeat, %s", suspect, 2*heartbeat)
	}
	if down <= suspect || down > maxDownAfter {
		p.Add(at+".downAfter", "%s must be longer than suspectAfter, %s, and at most %s", down, suspect, maxDownAfter)
	}
}

// clusterFixed: what all nodes and tasks have built on stays.
func clusterFixed(old, new meta.Object, p *meta.Problems) {
	was, is := old.(*Cluster).Spec, new.(*Cluster).Spec
	if was.ID != is.ID {
		p.Add("spec.id", "is %q for life; leave it so", was.ID)
	}
	if was.TaskNetwork != is.TaskNetwork {
		p.Add("spec.taskNetwork", "is %q for life; leave it so", was.TaskNetwork)
	}
}
