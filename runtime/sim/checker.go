package sim

import (
	"slices"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// checker looks at every commit. It keeps its own picture of the cluster, so that an error in a snapshot shows here.
type checker struct {
	w        *World
	writer   *actor // of the commit that is being looked at; nil is a person
	services map[string]*v1.Service
	tasks    map[string]*v1.Task
	nodes    map[string]*v1.Node
	// leastReady, where set, is how many tasks of a service must be ready after every commit.
	leastReady map[string]int
	// mostLive, where set, is how many tasks of a service there may be after every commit.
	mostLive map[string]int
	times    v1.ClusterSpec             // of silence
	turned   map[string]time.Time       // when a node's state last changed
	heard    map[string]time.Time       // when a node was last heard by any leader
	names    map[string]int64           // every task name ever used, with the uid that used it
	slots    map[string]map[string]bool // the live tasks of each slot
	wished   map[string]time.Time       // when somebody last changed what is wanted of a node
	used     map[string]v1.ResourceList // reserved on each node by tasks that have not ended
	ended    map[string]int             // how often the process of a task had been started when the task was given up
	gone     map[string]time.Time       // when a task was marked for deletion or removed, by incarnation
	authors  map[meta.Key]string        // who wrote an object last, where that was a controller that was told so
}

func newChecker(w *World) *checker {
	c := &checker{w: w, services: map[string]*v1.Service{}, tasks: map[string]*v1.Task{}, nodes: map[string]*v1.Node{},
		turned: map[string]time.Time{}, heard: map[string]time.Time{}, names: map[string]int64{}, slots: map[string]map[string]bool{}, wished: map[string]time.Time{},
		used: map[string]v1.ResourceList{}, ended: map[string]int{}, gone: map[string]time.Time{}, authors: map[meta.Key]string{}}
	c.times.Default()
	return c
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
	for _, ch := range b.Changes {
		switch o := ch.Object.(type) {
		case *v1.Task:
			if o.Metadata.Deleted.IsZero() {
				c.task(ch.Key.Name, o)
			}
		case *v1.Node:
			c.node(o)
		case *v1.Service:
			c.service(o)
		case *v1.Cluster:
			c.times = o.Spec
		case nil:
			if ch.Key.Kind == "Node" {
				c.mayRemove(ch.Key)
				delete(c.nodes, ch.Key.Name)
			}
			if ch.Key.Kind == "Service" {
				c.mayRemove(ch.Key)
				delete(c.services, ch.Key.Name)
			}
		}
	}
	c.stillReady()
}

func (c *checker) service(s *v1.Service) {
	old := c.services[s.Metadata.Name]
	c.services[s.Metadata.Name] = s
	if s.Status.ObservedGeneration > s.Metadata.Generation {
		c.w.fail("%s: observed generation %d of %d", s.Key(), s.Status.ObservedGeneration, s.Metadata.Generation)
	}
	if old == nil || old.Metadata.UID != s.Metadata.UID {
		return
	}
	c.mayChange(old, s, "")
	if s.Status.Count < old.Status.Count {
		c.w.fail("%s: count went back from %d to %d", s.Key(), old.Status.Count, s.Status.Count)
	}
	if d := old.Status.Image.Digest; d != "" && d != s.Status.Image.Digest && !slices.Contains(s.Status.PreviousImages, d) {
		c.w.fail("%s: the image that it ran is forgotten, of the earlier ones it knows %q", s.Key(), s.Status.PreviousImages)
	}
}

// node checks that what the leader thinks of a node follows from when it was heard, by whichever leader.
func (c *checker) node(n *v1.Node) {
	name := n.Metadata.Name
	old := c.nodes[name]
	c.nodes[name] = n
	if old == nil {
		c.heard[name] = c.w.now // it made itself known: a sign of life
	} else {
		c.mayChange(old, n, name)
		if old.Spec != n.Spec {
			c.wished[name] = c.w.now
		}
	}
	if old != nil && old.Status.State == n.Status.State {
		return
	}
	c.turned[name] = c.w.now
	silent := c.w.now.Sub(c.heard[name])
	switch n.Status.State {
	case v1.NodeReady:
		if unjudged := old == nil || old.Status.State == ""; unjudged {
			silent = min(silent, c.w.now.Sub(c.w.leader.began)) // it made itself known while nobody looked
		}
		if silent >= time.Duration(c.times.SuspectAfter) {
			c.w.fail("%s: called ready after %s of silence", n.Key(), silent)
		}
	case v1.NodeSuspect, v1.NodeDown:
		silent = min(silent, c.w.now.Sub(c.w.leader.began)) // each leader listens for a full grace
		if silent < time.Duration(c.times.SuspectAfter) || n.Status.State == v1.NodeDown && silent < time.Duration(c.times.DownAfter) {
			c.w.fail("%s: called %s after %s of silence", n.Key(), n.Status.State, silent)
		}
	}
}

// stillReady holds updates to what they promise.
func (c *checker) stillReady() {
	for name, most := range c.mostLive {
		there := 0
		for _, t := range c.tasks {
			if t.Spec.Service == name && live(t) {
				there++
			}
		}
		if there > most {
			c.w.fail("there are %d tasks of %s; at most %d may be", there, name, most)
		}
	}
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
