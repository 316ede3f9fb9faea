package sim

import (
	"fmt"
	"strings"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/fake"
)

// task checks a task that changed; nil means that it is gone.
func (c *checker) task(name string, t *v1.Task) {
	old := c.tasks[name]
	if old != nil {
		c.leave(old)
	}
	c.part(old, t)
	if t == nil {
		c.removed(old)
		delete(c.tasks, name)
		return
	}
	c.tasks[name] = t
	c.enter(t)
	if old == nil || old.Metadata.UID != t.Metadata.UID {
		c.born(t)
	} else {
		c.moved(old, t)
	}
}

func (c *checker) born(t *v1.Task) {
	n := t.Metadata.Name
	if by, used := c.names[n]; used && by != t.Metadata.UID && c.sameOwner(t) {
		c.w.fail("%s: its name was used before", t.Key())
	}
	c.names[n] = t.Metadata.UID
	if live(t) {
		c.alone(t)
	}
	s := c.services[t.Spec.Service]
	if s == nil || s.Metadata.UID != t.Metadata.Owner.UID {
		return
	}
	if i := s.Status.Image; i.Template == t.Spec.TemplateHash && i.Digest != "" && t.Spec.ImageDigest != i.Digest {
		c.w.fail("%s: its image is not pinned to what is known", t.Key())
	}
}

// sameOwner: a service that was deleted and made anew counts from 1 again.
func (c *checker) sameOwner(t *v1.Task) bool {
	s := c.services[t.Spec.Service]
	return s != nil && c.names[t.Metadata.Name] > s.Metadata.UID
}

func (c *checker) moved(old, t *v1.Task) {
	if !c.w.Loose {
		c.mayChange(old, t, t.Spec.Node)
	}
	if old.Spec.Node != "" && old.Spec.Node != t.Spec.Node {
		c.w.fail("%s: was moved from %s to %q", t.Key(), old.Spec.Node, t.Spec.Node)
	}
	if rank[t.Status.Phase] < rank[old.Status.Phase] || old.Status.Phase.Terminal() && old.Status.Phase != t.Status.Phase {
		c.w.fail("%s: phase went from %s to %s", t.Key(), old.Status.Phase, t.Status.Phase)
	}
	if !old.Status.Phase.Terminal() && t.Status.Phase.Terminal() {
		who := fake.Incarnation(t.Metadata.Name, t.Metadata.UID)
		c.ended[who] = c.w.byName[t.Spec.Node].machine.Starts[who]
	}
	if old.Spec.Node == "" && t.Spec.Node != "" {
		c.bound(t)
	}
	c.reported(old, t)
	if len(t.Metadata.Finalizers) == 0 && len(old.Metadata.Finalizers) > 0 {
		c.w.fail("%s: lost its finalizer and is still there", t.Key())
	}
}

// reported checks what an agent says of a task against its machine at that moment.
func (c *checker) reported(old, t *v1.Task) {
	if was := old.Status.ImageDigest; was != "" && was != t.Status.ImageDigest {
		c.w.fail("%s: runs another image than before", t.Key())
	}
	if c.writer == nil || c.writer.name != t.Spec.Node || !t.Status.Ready {
		return
	}
	if s, _ := c.writer.w.byName[t.Spec.Node].machine.Look(t.Metadata.Name); s.Phase != host.Running || s.UID != t.Metadata.UID {
		c.w.fail("%s: is called ready and is %q", t.Key(), s.Phase)
	}
}

var rank = map[v1.TaskPhase]int{v1.TaskPreparing: 1, v1.TaskStarting: 2, v1.TaskRunning: 3, v1.TaskComplete: 4, v1.TaskFailed: 4, v1.TaskRejected: 4}

// removed: a task that its agent held goes only when nothing of it is left on the machine.
func (c *checker) removed(t *v1.Task) {
	if t == nil || len(t.Metadata.Finalizers) == 0 {
		return
	}
	if c.nodes[t.Spec.Node] == nil || !c.known(c.turned[t.Spec.Node]) {
		return // on a node that was removed, as far as the leader knows, it ends when that hears of it
	}
	if s, there := c.w.byName[t.Spec.Node].machine.Look(t.Metadata.Name); there && s.UID == t.Metadata.UID {
		c.w.fail("%s is gone from the store and still %s on %s", t.Key(), s.Phase, t.Spec.Node)
	}
}

func (c *checker) bound(t *v1.Task) {
	n := c.nodes[t.Spec.Node]
	// What the leader has not heard of yet it cannot heed.
	known := n != nil && c.known(c.turned[t.Spec.Node])
	if n == nil || known && n.Status.State != v1.NodeReady {
		c.w.fail("%s: bound to %s, which is not ready", t.Key(), t.Spec.Node)
		return
	}
	if n.Spec.Unschedulable && t.Spec.OnlyNode == "" && c.known(c.wished[t.Spec.Node]) {
		c.w.fail("%s: bound to %s, which is cordoned", t.Key(), t.Spec.Node)
	}
	if only := t.Spec.OnlyNode; only != "" && only != t.Spec.Node {
		c.w.fail("%s: bound to %s and belongs to %s", t.Key(), t.Spec.Node, only)
	}
	if u := c.used[t.Spec.Node]; exceeds(u, n.Status.Capacity, t.Spec.Resources.Reservations) {
		c.w.fail("%s: %s has %v and is asked for %v", t.Key(), t.Spec.Node, n.Status.Capacity, u)
	}
}

// exceeds tells whether a node is asked for more than it has of something that a task wants.
func exceeds(used, have, want v1.ResourceList) bool {
	return want.CPU > 0 && used.CPU > have.CPU || want.Memory > 0 && used.Memory > have.Memory || want.Pids > 0 && used.Pids > have.Pids
}

func live(t *v1.Task) bool { return t.Metadata.Deleted.IsZero() }

func slotKey(t *v1.Task) string {
	return fmt.Sprintf("%s@%d/%d/%s", t.Spec.Service, t.Metadata.Owner.UID, t.Spec.Slot, t.Spec.OnlyNode)
}

func (c *checker) enter(t *v1.Task) {
	if k := slotKey(t); live(t) {
		if c.slots[k] == nil {
			c.slots[k] = map[string]bool{}
		}
		c.slots[k][t.Metadata.Name] = true
	}
	c.reserve(t, 1)
}

func (c *checker) leave(t *v1.Task) {
	if k := slotKey(t); live(t) {
		delete(c.slots[k], t.Metadata.Name)
	}
	c.reserve(t, -1)
}

// alone: a slot is held by one task. A second one is made beside it only where the first has to leave its node.
func (c *checker) alone(t *v1.Task) {
	k := slotKey(t)
	for _, name := range meta.SortedKeys(c.slots[k]) {
		if other := c.tasks[name]; name != t.Metadata.Name && (len(c.slots[k]) > 2 || !c.drained(other.Spec.Node)) {
			c.w.fail("slot %s is held by %s and %s", k, name, t.Metadata.Name)
		}
	}
}

// drained tells whether a node is drained, as far as the leader can know.
func (c *checker) drained(node string) bool {
	n := c.nodes[node]
	return n != nil && n.Spec.Drain != "" || !c.known(c.wished[node])
}

func (c *checker) reserve(t *v1.Task, sign int64) {
	if t.Spec.Node == "" || t.Status.Phase.Terminal() {
		return
	}
	c.used[t.Spec.Node] = plus(c.used[t.Spec.Node], t.Spec.Resources.Reservations, sign)
}

func plus(u, r v1.ResourceList, sign int64) v1.ResourceList {
	u.CPU += meta.CPU(sign) * r.CPU
	u.Memory += meta.Bytes(sign) * r.Memory
	u.Pids += sign * r.Pids
	return u
}

// rights says which fields the leader and an agent may change, whatever their contracts say. A person may change the rest.
var rights = map[string][]string{
	"leader": {"Service.status", "Task.spec.node", "Task.status.pending", "Task.metadata.deleted",
		"Node.status.state", "Node.status.subnet", "Node.status.conditions"},
	"agent": {"Task.status", "Task.metadata.finalizers", "Node.status"},
}

// mayChange checks who changed what. An agent writes only what belongs to its node.
func (c *checker) mayChange(old, new meta.Object, node string) {
	w := c.writer
	if w == nil {
		return
	}
	role := "leader"
	if w.visible != nil {
		role = "agent"
	}
	if role == "agent" && w.name != node {
		c.w.fail("%s: changed by the agent of %s", new.Key(), w.name)
	}
	for _, p := range meta.Diff(old, new) {
		path := new.Key().Kind + "." + p
		if p != "metadata.revision" && p != "metadata.generation" && !has(rights[role], path) || role == "agent" && has(rights["leader"], path) {
			c.w.fail("%s: %s was changed by %s", new.Key(), p, w.name)
		}
	}
}

func has(rights []string, path string) bool {
	for _, r := range rights {
		if path == r || strings.HasPrefix(path, r+".") {
			return true
		}
	}
	return false
}

// mayRemove: what a person made only a person removes.
func (c *checker) mayRemove(k meta.Key) {
	if c.writer != nil {
		c.w.fail("%s: removed by %s", k, c.writer.name)
	}
}
