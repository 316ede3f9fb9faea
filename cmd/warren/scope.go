package main

import (
	"errors"
	"fmt"
	"slices"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/store"
)

// workerRights are what a worker may see and write: its own Node and tasks, what the contracts of its agent allow; and of the
// services only which images they need, since those are kept.
func workerRights(node string) store.Rights {
	permit := control.Permit(v1.Kinds, agentContracts())
	return store.Rights{
		Kinds: []string{v1.ClusterKind.Name, v1.NodeKind.Name, v1.TaskKind.Name, v1.ServiceKind.Name, v1.EventKind.Name},
		Fixed: []string{v1.NodeKind.Name, v1.TaskKind.Name}, // a task gets its node once
		Shows: func(o meta.Object) meta.Object { return shown(node, o) },
		Writes: func(old, new meta.Object, find func(meta.Key) (meta.Object, error)) error {
			if e, ok := new.(*v1.Event); ok {
				return mayTell(node, e, find)
			}
			for _, o := range []meta.Object{old, new} {
				if o != nil && !belongs(node, o) {
					return fmt.Errorf("it is not of node %s", node)
				}
			}
			if kindOf(old, new) == v1.NodeKind.Name && (old == nil || new == nil) {
				return fmt.Errorf("a worker's node is made by joining and removed at a manager; to come back: warren reset there, and join anew")
			}
			return permit(old, new)
		},
	}
}

// dismissedRights are those of a node that is none any more. What it saw before disappears; it writes nothing.
var dismissedRights = store.Rights{
	Kinds: []string{v1.ClusterKind.Name, v1.NodeKind.Name, v1.TaskKind.Name, v1.ServiceKind.Name, v1.EventKind.Name},
	Fixed: []string{v1.NodeKind.Name, v1.TaskKind.Name},
	Shows: func(o meta.Object) meta.Object {
		if o.Key().Kind == v1.ClusterKind.Name {
			return o
		}
		return nil
	},
	Writes: func(_, _ meta.Object, _ func(meta.Key) (meta.Object, error)) error {
		return errors.New("the node was removed")
	},
}

func kindOf(old, new meta.Object) string {
	if new == nil {
		new = old
	}
	return new.Key().Kind
}

func shown(node string, o meta.Object) meta.Object {
	switch x := o.(type) {
	case *v1.Cluster:
		return o
	case *v1.Service:
		return onlyImages(x)
	case *v1.Event:
		if x.Spec.Node == node {
			return o
		}
	default:
		if belongs(node, o) {
			return o
		}
	}
	return nil
}

// belongs tells whether a Node or a Task is that of a node.
func belongs(node string, o meta.Object) bool {
	switch o := o.(type) {
	case *v1.Task:
		return o.Spec.Node == node
	case *v1.Node:
		return o.Metadata.Name == node
	}
	return false
}

// onlyImages leaves out all that a worker needs not know of a service.
func onlyImages(s *v1.Service) *v1.Service {
	out := meta.New[v1.Service](s.Metadata.Name)
	m := s.Metadata
	out.Metadata.UID, out.Metadata.Revision, out.Metadata.Generation, out.Metadata.Created = m.UID, m.Revision, m.Generation, m.Created
	out.Spec.Image = s.Spec.Image
	out.Status.Image, out.Status.PreviousImages = s.Status.Image, s.Status.PreviousImages
	return out
}

// imagesSource tells what a machine has to say about its images.
const imagesSource = "images"

// mayTell lets a worker speak of itself and its tasks.
func mayTell(node string, e *v1.Event, find func(meta.Key) (meta.Object, error)) error {
	told := func(c control.Contract) bool { return c.Name == e.Spec.Source }
	if e.Spec.Node != node || e.Spec.Source != imagesSource && !slices.ContainsFunc(agentContracts(), told) {
		return fmt.Errorf("the event is not told by an agent of node %s", node)
	}
	if e.Metadata.Name != v1.EventName(e.Spec.About, e.Spec.Reason) {
		return errors.New("the event has another name than events of its kind")
	}
	about, err := find(e.Spec.About)
	if err != nil {
		return err
	}
	if !belongs(node, about) {
		return fmt.Errorf("it is about %s, which is not of node %s", e.Spec.About, node)
	}
	return nil
}
