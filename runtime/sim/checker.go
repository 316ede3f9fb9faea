package sim

import (
	"fmt"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// checker looks at every commit. It keeps its own picture of the cluster, so that an error in a snapshot shows here.
type checker struct {
	w        *World
	writer   *actor
	services map[string]*v1.Service
	tasks    map[string]*v1.Task
	nodes    map[string]*v1.Node
	// leastReady, where set, is how many tasks of a service must be ready after every commit.
	leastReady map[string]int
	turned     map[string]time.Time       // when a node's state last changed
	names      map[string]int64           // every task name ever used, with the uid that used it
	slots      map[string]string          // the live task of each slot
	used       map[string]v1.ResourceList // reserved on each node by tasks that have not ended
}

func newChecker(w *World) *checker {
	return &checker{w: w, services: map[string]*v1.Service{}, tasks: map[string]*v1.Task{}, nodes: map[string]*v1.Node{}, turned: map[string]time.Time{},
		names: map[string]int64{}, slots: map[string]string{}, used: map[string]v1.ResourceList{}}
}

// commit checks what one commit changed. Removals come first: a replacement is one commit.
func (c *checker) commit(b store.Batch) {
	if n := len(b.Changes); n > store.MaxOps+20 {
		c.w.fail("commit %d changes %d objects", b.Revision, n)
	}
	for _, ch := range b.Changes {
		if t, ok := ch.Object.(*v1.Task); ch.Key.Kind == "Task" && (!ok || !t.Metadata.Deleted.IsZero()) {
			c.task(ch.Key.Name, t)
		}
	}
	defer c.stillReady()
	for _, ch := range b.Changes {
		switch o := ch.Object.(type) {
		case *v1.Task:
			if o.Metadata.Deleted.IsZero() {
				c.task(ch.Key.Name, o)
			}
		case *v1.Node:
			if old := c.nodes[ch.Key.Name]; old == nil || old.Status.State != o.Status.State {
				c.turned[ch.Key.Name] = c.w.now
			}
			c.nodes[ch.Key.Name] = o
		case *v1.Service:
			c.service(o)
		case nil:
			if ch.Key.Kind == "Service" {
				delete(c.services, ch.Key.Name)
			}
		}
	}
}

func (c *checker) service(s *v1.Service) {
	old := c.services[s.Metadata.Name]
	c.services[s.Metadata.Name] = s
	if s.Status.ObservedGeneration > s.Metadata.Generation {
		c.w.fail("%s: observed generation %d of %d", s.Key(), s.Status.ObservedGeneration, s.Metadata.Generation)
	}
	if old != nil && old.Metadata.UID == s.Metadata.UID && s.Status.Count < old.Status.Count {
		c.w.fail("%s: count went back from %d to %d", s.Key(), old.Status.Count, s.Status.Count)
	}
}

// task checks a task that changed; nil means that it is gone.
func (c *checker) task(name string, t *v1.Task) {
	old := c.tasks[name]
	if old != nil {
		c.leave(old)
	}
	if t == nil {
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
}

// sameOwner: a service that was deleted and made anew counts from 1 again.
func (c *checker) sameOwner(t *v1.Task) bool {
	s := c.services[t.Spec.Service]
	return s != nil && c.names[t.Metadata.Name] > s.Metadata.UID
}

func (c *checker) moved(old, t *v1.Task) {
	for _, p := range meta.Diff(old, t) {
		if len(p) > 5 && p[:5] == "spec." && (p != "spec.node" || old.Spec.Node != "") {
			c.w.fail("%s: %s of a task changed", t.Key(), p)
		}
	}
	if rank[t.Status.Phase] < rank[old.Status.Phase] || old.Status.Phase.Terminal() && old.Status.Phase != t.Status.Phase {
		c.w.fail("%s: phase went from %s to %s", t.Key(), old.Status.Phase, t.Status.Phase)
	}
	if old.Spec.Node == "" && t.Spec.Node != "" {
		c.bound(t)
	}
	if len(t.Metadata.Finalizers) == 0 && len(old.Metadata.Finalizers) > 0 {
		c.w.fail("%s: lost its finalizer and is still there", t.Key())
	}
}

var rank = map[v1.TaskPhase]int{v1.TaskPreparing: 1, v1.TaskStarting: 2, v1.TaskRunning: 3, v1.TaskComplete: 4, v1.TaskFailed: 4, v1.TaskRejected: 4}

func (c *checker) bound(t *v1.Task) {
	n := c.nodes[t.Spec.Node]
	// What the leader has not heard of yet it cannot heed.
	known := n != nil && c.w.now.Sub(c.turned[t.Spec.Node]) > c.w.Lag
	if n == nil || known && n.Status.State != v1.NodeReady {
		c.w.fail("%s: bound to %s, which is not ready", t.Key(), t.Spec.Node)
		return
	}
	u, have := c.used[t.Spec.Node], n.Status.Capacity
	if u.CPU > have.CPU || u.Memory > have.Memory || u.Pids > have.Pids {
		c.w.fail("%s: %s has %v and is asked for %v", t.Key(), t.Spec.Node, have, u)
	}
}

func live(t *v1.Task) bool { return t.Metadata.Deleted.IsZero() }

func slotKey(t *v1.Task) string {
	return fmt.Sprintf("%s@%d/%d/%s", t.Spec.Service, t.Metadata.Owner.UID, t.Spec.Slot, t.Spec.OnlyNode)
}

func (c *checker) enter(t *v1.Task) {
	if live(t) {
		k := slotKey(t)
		if other, held := c.slots[k]; held && other != t.Metadata.Name {
			c.w.fail("slot %s is held by %s and %s", k, other, t.Metadata.Name)
		}
		c.slots[k] = t.Metadata.Name
	}
	c.reserve(t, 1)
}

func (c *checker) leave(t *v1.Task) {
	if k := slotKey(t); live(t) && c.slots[k] == t.Metadata.Name {
		delete(c.slots, k)
	}
	c.reserve(t, -1)
}

func (c *checker) reserve(t *v1.Task, sign int64) {
	if t.Spec.Node == "" || t.Status.Phase.Terminal() {
		return
	}
	u, r := c.used[t.Spec.Node], t.Spec.Resources.Reservations
	u.CPU += meta.CPU(sign) * r.CPU
	u.Memory += meta.Bytes(sign) * r.Memory
	u.Pids += sign * r.Pids
	c.used[t.Spec.Node] = u
}

func (c *checker) stillReady() {
	for name, least := range c.leastReady {
		ready := 0
		for _, t := range c.tasks {
			if t.Spec.Service == name && live(t) && t.Status.Ready {
				ready++
			}
		}
		if ready < least {
			c.w.fail("only %d tasks of %s are ready; at least %d must be", ready, name, least)
		}
	}
}
