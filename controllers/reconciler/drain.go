package reconciler

import (
	"slices"

	v1 "warren.io/warren/apis/v1"
)

// drain is how a node is drained, if it is.
func (d *decision) drain(node string) v1.DrainMode {
	if n := d.named[node]; n != nil {
		return n.Spec.Drain
	}
	return ""
}

// leaves tells whether a task has to go from the node where it is.
func (d *decision) leaves(t *v1.Task) bool {
	return d.drain(t.Spec.Node) != "" && !t.Status.Phase.Terminal()
}

// move makes a successor for a task whose node is drained. One that serves stays until the successor does, in its own slot,
// and the next one of this service waits until then.
func (d *decision) move(s slot, t *v1.Task) {
	why := asked("node %s is drained", t.Spec.Node)
	switch {
	case !t.Status.Ready || d.drain(t.Spec.Node) == v1.DrainForce:
		d.note(false, "Draining", "%s is replaced: node %s is drained", t.Metadata.Name, t.Spec.Node)
		d.replace(s, why)
	case len(d.leaving) > 0:
		d.say(t, "node %s is drained; another task of the service goes first", t.Spec.Node)
	case d.make(s, why):
		d.note(false, "Draining", "%s gets a successor: node %s is drained", t.Metadata.Name, t.Spec.Node)
		d.leaving[s] = t
	}
}

// hold decides who holds a slot: the newest task. Before it is ready one that serves, which has to leave its node, stays
// beside it; where that node is not drained any more, it stays instead. All others are surplus.
func (d *decision) hold(s slot, all []*v1.Task) {
	slices.SortFunc(all, func(a, b *v1.Task) int { return int(countOf(b) - countOf(a)) })
	newest := all[0]
	d.tasks[s] = newest
	for i, t := range all[1:] {
		switch {
		case i > 0 || !t.Status.Ready || d.lost(t) || d.started(newest):
			d.drop(t, happened("%s has taken its slot", newest.Metadata.Name))
		case !d.leaves(t):
			d.tasks[s] = t
			d.drop(newest, asked("node %s, where %s runs, is not drained any more", t.Spec.Node, t.Metadata.Name))
		case d.drain(t.Spec.Node) == v1.DrainForce:
			d.drop(t, asked("node %s is drained", t.Spec.Node))
		default:
			d.say(t, "node %s is drained; it goes when its successor %s is ready", t.Spec.Node, newest.Metadata.Name)
			d.leaving[s] = t
		}
	}
}

// started tells whether a task runs for long enough to count; if it may soon, the decision is made again then.
func (d *decision) started(t *v1.Task) bool {
	if wait := d.unsettled(t); wait > 0 {
		d.wake(wait)
		return false
	}
	return t.Status.Ready
}

// runsOn tells whether a global service has a slot on a node. A cordoned one keeps what it has, and is given nothing.
func (d *decision) runsOn(n *v1.Node) bool {
	return n.Spec.Drain == "" && (!n.Spec.Unschedulable || d.tasks[slot{node: n.Metadata.Name}] != nil)
}
