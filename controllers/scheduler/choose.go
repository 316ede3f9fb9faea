package scheduler

import (
	"fmt"
	"slices"
	"strings"

	v1 "warren.io/warren/apis/v1"
)

// place is a node with what is left on it.
type place struct {
	name     string
	node     *v1.Node
	free     v1.ResourceList
	tasks    int
	services map[string]int // tasks of each service
}

func newPlace(n *v1.Node, tasks []*v1.Task) *place {
	p := &place{name: n.Metadata.Name, node: n, free: n.Status.Capacity, services: map[string]int{}}
	for _, t := range tasks {
		if !t.Status.Phase.Terminal() {
			p.add(t)
		}
	}
	return p
}

func (p *place) add(t *v1.Task) {
	r := t.Spec.Resources.Reservations
	p.free.CPU -= r.CPU
	p.free.Memory -= r.Memory
	p.free.Pids -= r.Pids
	p.tasks++
	p.services[t.Spec.Service]++
}

// filter is one demand on a node. It can explain itself: "why is it pending" costs nothing.
type filter struct {
	cause  string
	admits func(*v1.Task, *place) bool
	one    string // said of one node
	many   string // said of several, with their number
	detail func(*v1.Task, *place) string
}

// filters in the order in which they are asked; a node is counted under the first that refuses it.
var filters = []filter{
	{"node", thatNode, "1 node is not the one it belongs to", "%d nodes are not the one it belongs to", otherNode},
	{"ready", ready, "1 node is not ready", "%d nodes are not ready", notReady},
	{"cordoned", open, "1 node is cordoned", "%d nodes are cordoned", func(*v1.Task, *place) string { return "is cordoned" }},
	{"platform", platform, "1 node has another platform than the image", "%d nodes have another platform than the image", otherPlatform},
	{"cpu", hasCPU, "1 node lacks CPU", "%d nodes lack CPU", func(t *v1.Task, p *place) string {
		return lacks("CPU", asked(t).CPU, p.free.CPU, p.node.Status.Capacity.CPU)
	}},
	{"memory", hasMemory, "1 node lacks memory", "%d nodes lack memory", func(t *v1.Task, p *place) string {
		return lacks("memory", size(asked(t).Memory), size(p.free.Memory), size(p.node.Status.Capacity.Memory))
	}},
	{"pids", hasPids, "1 node lacks pids", "%d nodes lack pids", func(t *v1.Task, p *place) string {
		return lacks("pids", asked(t).Pids, p.free.Pids, p.node.Status.Capacity.Pids)
	}},
}

func asked(t *v1.Task) v1.ResourceList { return t.Spec.Resources.Reservations }

func thatNode(t *v1.Task, p *place) bool { return t.Spec.OnlyNode == "" || t.Spec.OnlyNode == p.name }

func ready(_ *v1.Task, p *place) bool {
	return p.node.Status.State == v1.NodeReady && p.node.Metadata.Deleted.IsZero()
}

// open nodes take new tasks. Which tasks a closed one keeps is for those to decide who made them for it.
func open(t *v1.Task, p *place) bool {
	return !p.node.Spec.Unschedulable || t.Spec.OnlyNode == p.name && p.node.Spec.Drain == ""
}

func platform(t *v1.Task, p *place) bool {
	if len(t.Spec.Platforms) == 0 {
		return true
	}
	want := p.node.Status.OS + "/" + p.node.Status.Arch
	return slices.ContainsFunc(t.Spec.Platforms, func(have string) bool {
		return have == want || strings.HasPrefix(have, want+"/")
	})
}

func hasCPU(t *v1.Task, p *place) bool    { return fits(asked(t).CPU, p.free.CPU) }
func hasMemory(t *v1.Task, p *place) bool { return fits(asked(t).Memory, p.free.Memory) }
func hasPids(t *v1.Task, p *place) bool   { return fits(asked(t).Pids, p.free.Pids) }

// fits lets a task that reserves nothing run anywhere, also where others reserved more than there is.
func fits[N ~int64](want, free N) bool { return want == 0 || want <= free }

// choose returns the node that spreads the service best, nil if none fits, and how many nodes each filter refused: fewest
// tasks of the same service, then fewest tasks, then by name.
func choose(t *v1.Task, places []*place) (best *place, refused []int) {
	refused = make([]int, len(filters))
	for _, p := range places {
		if i := refusedBy(t, p); i >= 0 {
			refused[i]++
		} else if best == nil || better(t.Spec.Service, p, best) {
			best = p
		}
	}
	return best, refused
}

func refusedBy(t *v1.Task, p *place) int {
	return slices.IndexFunc(filters, func(f filter) bool { return !f.admits(t, p) })
}

func better(service string, a, b *place) bool {
	switch x, y := a.services[service], b.services[service]; {
	case x != y:
		return x < y
	case a.tasks != b.tasks:
		return a.tasks < b.tasks
	}
	return a.name < b.name
}

func explain(refused []int, nodes int) []v1.PendingReason {
	if nodes == 0 {
		return []v1.PendingReason{{Cause: "nodes", Message: "there are no nodes"}}
	}
	var out []v1.PendingReason
	for i, n := range refused {
		switch {
		case n == 1:
			out = append(out, v1.PendingReason{Cause: filters[i].cause, Nodes: 1, Message: filters[i].one})
		case n > 1:
			out = append(out, v1.PendingReason{Cause: filters[i].cause, Nodes: n, Message: fmt.Sprintf(filters[i].many, n)})
		}
	}
	return out
}

func sentence(reasons []v1.PendingReason) string {
	words := make([]string, len(reasons))
	for i, r := range reasons {
		words[i] = r.Message
	}
	return "no node fits: " + strings.Join(words, ", ")
}
