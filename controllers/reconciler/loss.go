package reconciler

import (
	"time"

	v1 "warren.io/warren/apis/v1"
)

// lose replaces a task whose node is down or gone, when its service wants that. From a node that is gone or drained nothing
// comes back.
func (d *decision) lose(s slot, t *v1.Task) {
	if n := d.named[t.Spec.Node]; n != nil && !d.leaves(t) && d.svc.Spec.NodeLoss != nil {
		if d.waitForNode(t, n) {
			return
		}
	}
	d.note(true, "TaskLost", "%s is lost with node %s and is replaced", t.Metadata.Name, t.Spec.Node)
	d.replace(s, happened("node %s, where it ran, is %s", t.Spec.Node, d.stateOf(t.Spec.Node)))
}

// waitForNode tells whether the service wants to wait for a node that is down.
func (d *decision) waitForNode(t *v1.Task, n *v1.Node) bool {
	loss := d.svc.Spec.NodeLoss
	if loss.Action == v1.Keep {
		d.say(t, "node %s is down; spec.nodeLoss of the service keeps it there", t.Spec.Node)
		return true
	}
	since := turned(n)
	wait := since.Add(time.Duration(loss.After)).Sub(d.now)
	if wait > 0 {
		d.say(t, "node %s is down; it is replaced in %s if the node is not back", t.Spec.Node, wait.Round(time.Second))
		d.wake(wait)
	}
	return wait > 0
}
