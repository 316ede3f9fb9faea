package sim

import (
	"fmt"
	"slices"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
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
	counts := map[string]*census{}
	for _, name := range meta.SortedKeys(c.tasks) {
		t := c.tasks[name]
		if s := c.services[t.Spec.Service]; s == nil || s.Metadata.UID != t.Metadata.Owner.UID {
			return fmt.Errorf("%s: its service is gone and it is still there", t.Key())
		}
		if !live(t) {
			return fmt.Errorf("%s: is still being deleted", t.Key())
		}
		if counts[t.Spec.Service] == nil {
			counts[t.Spec.Service] = &census{}
		}
		counts[t.Spec.Service].add(c, t)
	}
	for _, name := range meta.SortedKeys(c.services) {
		if counts[name] == nil {
			counts[name] = &census{}
		}
		if err := c.served(c.services[name], counts[name]); err != nil {
			return err
		}
	}
	return c.machines()
}

// census counts the tasks of one service.
type census struct {
	all, ready, ended, stuck, fresh int
	digest                          string
	split                           bool
}

func (n *census) add(c *checker, t *v1.Task) {
	n.all++
	switch {
	case t.Status.Ready:
		n.ready++
	case t.Status.Phase == v1.TaskComplete, t.Status.Phase == v1.TaskFailed && t.Spec.Restart.Policy == v1.RestartNever:
		n.ended++
	case c.stuck(t):
		n.stuck++
	}
	s := c.services[t.Spec.Service]
	if t.Spec.Image == s.Spec.Image && t.Spec.TemplateHash == v1.TemplateHash(s) { // also after a restart that was asked for
		n.fresh++
	}
	if t.Spec.TemplateHash == s.Status.Image.Template {
		n.split = n.split || n.digest != "" && t.Status.ImageDigest != "" && n.digest != t.Status.ImageDigest
		n.digest = max(n.digest, t.Status.ImageDigest)
	}
}

// stuck tasks have no node, say so, and there really is none for them.
func (c *checker) stuck(t *v1.Task) bool {
	if t.Spec.Node != "" || len(t.Status.Pending) == 0 {
		return false
	}
	r := t.Spec.Resources.Reservations
	for _, n := range c.nodes {
		if (t.Spec.OnlyNode == "" || t.Spec.OnlyNode == n.Metadata.Name) && !exceeds(plus(c.used[n.Metadata.Name], r, 1), n.Status.Capacity, r) {
			return false
		}
	}
	return true
}

// served compares a service with what it wants. While a task is stuck or has ended for good an update waits, and so does the
// making of tasks whose image nobody could look at yet.
func (c *checker) served(s *v1.Service, n *census) error {
	want := len(c.nodes)
	if s.Spec.Mode == v1.Replicated {
		want = *s.Spec.Replicas
	}
	held := n.stuck+n.ended > 0
	st := s.Status
	good := n.ready+n.ended+n.stuck == n.all && (n.all == want || held && n.all < want) && (n.fresh == want || held) &&
		st.Ready == n.ready && st.Tasks == n.all && (st.Updated == n.fresh || held) && st.ObservedGeneration == s.Metadata.Generation
	if !good {
		return fmt.Errorf("%s: wants %d tasks, has %+v; its status says %d tasks, %d ready, %d updated, generation %d of %d",
			s.Key(), want, *n, st.Tasks, st.Ready, st.Updated, st.ObservedGeneration, s.Metadata.Generation)
	}
	if n.split {
		return fmt.Errorf("%s: its tasks run different images", s.Key())
	}
	return nil
}

func (c *checker) machines() error {
	on := map[string][]*v1.Task{}
	for _, name := range meta.SortedKeys(c.tasks) {
		on[c.tasks[name].Spec.Node] = append(on[c.tasks[name].Spec.Node], c.tasks[name])
	}
	kept := c.keptImages()
	for _, n := range c.w.nodes {
		if err := c.machine(n, on[n.name]); err != nil {
			return err
		}
		if !slices.Equal(n.machine.Kept, kept) {
			return fmt.Errorf("%s keeps the images %q, want %q", n.name, n.machine.Kept, kept)
		}
	}
	return c.w.err
}

// machine compares what runs on a node with what the store says, and what was started with what had reason to be.
func (c *checker) machine(n *node, tasks []*v1.Task) error {
	for _, name := range n.machine.Names() {
		if t := c.tasks[name]; t == nil || t.Spec.Node != n.name {
			return fmt.Errorf("%s runs %s, which it should not", n.name, name)
		}
		who := n.machine.Incarnation(name)
		starts := n.machine.Starts[who]
		if starts > 1+n.excused[who] {
			c.w.fail("%s started %s %d times; faults account for %d restarts", n.name, who, starts, n.excused[who])
		}
		if before, over := c.ended[who]; over && starts > before {
			c.w.fail("%s started %s after it was given up", n.name, who)
		}
	}
	for _, t := range tasks {
		s, there := n.machine.Look(t.Metadata.Name)
		if err := agrees(t, s, there); err != nil {
			return fmt.Errorf("%s on %s: %w", t.Key(), n.name, err)
		}
	}
	return nil
}

// agrees compares a task's status with what is on its machine.
func agrees(t *v1.Task, s host.State, there bool) error {
	st := t.Status
	switch over := st.Phase.Terminal(); {
	case !there && over:
		return nil
	case !there || s.UID != t.Metadata.UID:
		return fmt.Errorf("should be there and is not")
	case over && s.Phase == host.Running:
		return fmt.Errorf("is %s and runs", st.Phase)
	case st.Ready != (s.Phase == host.Running && !over):
		return fmt.Errorf("says ready %t and is %s", st.Ready, s.Phase)
	case !over && (st.Restarts != s.Attempt-1 || st.PID != s.PID || st.ImageDigest != s.ImageDigest || st.Address != s.Address.String()):
		return fmt.Errorf("status %+v is not what is there: %+v", st, s)
	}
	return nil
}

// keptImages are those that services run or have run: no machine may give them up.
func (c *checker) keptImages() []string {
	images := map[string]bool{}
	for _, s := range c.services {
		images[s.Spec.Image], images[s.Status.Image.Digest] = true, true
		for _, d := range s.Status.PreviousImages {
			images[d] = true
		}
	}
	delete(images, "")
	return meta.SortedKeys(images)
}
