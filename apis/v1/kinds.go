// Package v1 holds the kinds of Warren, one file each: spec, status, defaults, validation, index and columns.
package v1

import "warren.io/warren/apis/meta"

// Kinds are all kinds, in the order in which `get all` shows them.
var Kinds = meta.Kinds{ClusterKind, NodeKind, ServiceKind, TaskKind, TokenKind, UserKind, AuthorityKind, EventKind}

// The kinds.
var (
	ClusterKind   = meta.Define[ClusterSpec, ClusterStatus](meta.Kind{Columns: clusterColumns, UserUpdates: true, Fixed: clusterFixed})
	NodeKind      = meta.Define[NodeSpec, NodeStatus](meta.Kind{Short: []string{"no"}, Columns: nodeColumns, UserUpdates: true, UserDeletes: true, Removable: nodeRemovable})
	ServiceKind   = meta.Define[ServiceSpec, ServiceStatus](meta.Kind{Short: []string{"svc"}, Columns: serviceColumns, UserWrites: true})
	TaskKind      = meta.Define[TaskSpec, TaskStatus](meta.Kind{Short: []string{"ta"}, Columns: taskColumns, Index: taskIndex, UserDeletes: true, Home: taskHome})
	TokenKind     = meta.Define[TokenSpec, TokenStatus](meta.Kind{Columns: tokenColumns, UserDeletes: true})
	UserKind      = meta.Define[UserSpec, UserStatus](meta.Kind{Columns: userColumns, UserUpdates: true, UserDeletes: true})
	AuthorityKind = meta.Define[AuthoritySpec, AuthorityStatus](meta.Kind{Plural: "authorities", Columns: authorityColumns})
	EventKind     = meta.Define[EventSpec, EventStatus](meta.Kind{Short: []string{"ev"}, Columns: eventColumns, Index: eventIndex, Sort: byLast})
)

// Indexes of tasks.
const (
	ByNode    = "node"    // value: the node's name, "" for tasks without one
	ByService = "service" // value: the service's name
	ByAbout   = "about"   // events: kind and name of what they are about
)

func taskIndex(o meta.Object) []meta.IndexEntry {
	t := o.(*Task)
	return []meta.IndexEntry{{Index: ByNode, Value: t.Spec.Node}, {Index: ByService, Value: t.Spec.Service}}
}

func eventIndex(o meta.Object) []meta.IndexEntry {
	return []meta.IndexEntry{{Index: ByAbout, Value: o.(*Event).Spec.About.String()}}
}

func byLast(a, b meta.Object) bool {
	x, y := a.(*Event), b.(*Event)
	if !x.Status.Last.Equal(y.Status.Last) {
		return x.Status.Last.Before(y.Status.Last)
	}
	return x.Metadata.Name < y.Metadata.Name
}
