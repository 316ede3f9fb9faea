package sim

import (
	"fmt"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
)

// Settle lets time pass until the cluster is as wanted, at most d. It returns what is still wrong then.
func (w *World) Settle(d time.Duration) error {
	for end := w.now.Add(d); ; {
		if err := w.Run(time.Second); err != nil {
			return err
		}
		err := w.check.settled()
		if err == nil || w.now.After(end) {
			return err
		}
	}
}

// settled tells what is not as it should be when all faults are over: the store, the machines and the tasks must agree.
func (c *checker) settled() error {
	for _, name := range meta.SortedKeys(c.services) {
		if err := c.served(c.services[name]); err != nil {
			return err
		}
	}
	for _, name := range meta.SortedKeys(c.tasks) {
		t := c.tasks[name]
		if s := c.services[t.Spec.Service]; s == nil || s.Metadata.UID != t.Metadata.Owner.UID {
			return fmt.Errorf("%s: its service is gone and it is still there", t.Key())
		}
		if !live(t) {
			return fmt.Errorf("%s: is still being deleted", t.Key())
		}
	}
	for _, n := range c.w.nodes {
		if err := c.machine(n); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) served(s *v1.Service) error {
	want := len(c.nodes)
	if s.Spec.Mode == v1.Replicated {
		want = *s.Spec.Replicas
	}
	ready, fresh := 0, 0
	for _, t := range c.tasks {
		if t.Metadata.Owner.UID != s.Metadata.UID || !live(t) {
			continue
		}
		if t.Status.Ready {
			ready++
		}
		if t.Spec.Image == s.Spec.Image {
			fresh++
		}
	}
	st := s.Status
	if ready != want || fresh != want || st.Ready != want || st.Tasks != want || st.Updated != want ||
		st.ObservedGeneration != s.Metadata.Generation {
		return fmt.Errorf("%s: wants %d tasks; %d are ready, %d current; its status says %d tasks, %d ready, %d updated, generation %d of %d",
			s.Key(), want, ready, fresh, st.Tasks, st.Ready, st.Updated, st.ObservedGeneration, s.Metadata.Generation)
	}
	return nil
}

// machine compares what runs on a node with what the store says, and what was started with what had reason to be.
func (c *checker) machine(n *node) error {
	here := map[string]bool{}
	for _, name := range n.machine.Names() {
		here[name] = true
		t := c.tasks[name]
		if t == nil || t.Spec.Node != n.name {
			return fmt.Errorf("%s runs %s, which it should not", n.name, name)
		}
		who := n.machine.Incarnation(name)
		if n.machine.Starts[who] > 1+n.excused[who] {
			c.w.fail("%s started %s %d times; faults account for %d restarts", n.name, who, n.machine.Starts[who], n.excused[who])
		}
	}
	for _, name := range meta.SortedKeys(c.tasks) {
		if t := c.tasks[name]; t.Spec.Node == n.name && !here[name] {
			return fmt.Errorf("%s does not run %s, which it should", n.name, name)
		}
	}
	return nil
}
