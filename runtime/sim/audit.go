package sim

import (
	"time"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/fake"
)

// auditEvery is how often the machines are looked at between commits.
const auditEvery = 5 * time.Second

// double is the longest that a task, which was replaced, runs on once its node sees the store: the only time in which a
// slot has two processes, but for drains.
const double = 15 * time.Second

// audit looks at all machines while faults go on: what nobody wants must have ended on every node that could know.
func (c *checker) audit() {
	for _, n := range c.w.nodes {
		if n.cut || n.off || c.w.now.Sub(n.linked) < double {
			continue
		}
		for _, name := range n.machine.Running() {
			if t := c.tasks[name]; t != nil && live(t) && t.Spec.Node == n.name {
				continue
			}
			who := n.machine.Incarnation(name)
			if s, _ := n.machine.Look(name); s.Phase == host.Running && c.w.now.Sub(c.gone[who]) > double {
				c.w.fail("%s still runs %s, %s after it was given up there", n.name, who, c.w.now.Sub(c.gone[who]))
			}
		}
	}
	c.w.timers.set(c.w.now.Add(auditEvery), c.audit)
}

// part notes when a task is not wanted any more.
func (c *checker) part(old, t *v1.Task) {
	if old == nil || !live(old) || t != nil && live(t) && t.Metadata.UID == old.Metadata.UID {
		return
	}
	c.gone[fake.Incarnation(old.Metadata.Name, old.Metadata.UID)] = c.w.now
}

// known tells whether the leader can have seen by now what was committed at a time. One that was asleep sees it only when
// it has taken in what came meanwhile.
func (c *checker) known(at time.Time) bool {
	l := c.w.leader
	if now := c.w.now; now.Sub(l.woke) <= c.w.Lag {
		return at.Add(c.w.Lag).Before(l.slept)
	}
	return c.w.now.Sub(at) > c.w.Lag
}
