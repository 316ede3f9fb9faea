package scheduler

import (
	"fmt"
	"strings"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
)

// detailed is how many nodes are spoken of one by one.
const detailed = 10

// explainEach says for each node why it does not get a task.
func explainEach(tx *control.Tx, t *v1.Task, places []*place) {
	if !tx.Explaining() {
		return
	}
	for i, p := range places {
		if i == detailed {
			tx.Explain(t, "and %d more nodes", len(places)-detailed)
			return
		}
		if f := refusedBy(t, p); f >= 0 {
			tx.Explain(t, "node %s %s", p.name, filters[f].detail(t, p))
		}
	}
}

// choice says why the best node was taken.
func choice(best *place, refused []int, nodes int) string {
	fit := nodes
	for _, n := range refused {
		fit -= n
	}
	if fit == 1 {
		return fmt.Sprintf("%s is the only one of %d nodes that fits", best.name, nodes)
	}
	return fmt.Sprintf("%d of %d nodes fit, and %s had the fewest tasks of the service", fit, nodes, best.name)
}

func otherNode(t *v1.Task, _ *place) string {
	return fmt.Sprintf("is not %s, to which the task belongs", t.Spec.OnlyNode)
}

func notReady(_ *v1.Task, p *place) string {
	if !p.node.Metadata.Deleted.IsZero() {
		return "is being removed"
	}
	return "is " + strings.ToLower(string(p.node.Status.State))
}

func otherPlatform(t *v1.Task, p *place) string {
	return fmt.Sprintf("is %s/%s, and the image is made for %s", p.node.Status.OS, p.node.Status.Arch, strings.Join(t.Spec.Platforms, ", "))
}

func lacks(what string, asked, free, all any) string {
	return fmt.Sprintf("lacks %s: %v is asked for, %v of %v is free", what, asked, free, all)
}

// size writes what may be below zero, where more is reserved than there is.
func size(b meta.Bytes) string { return v1.Size(max(b, 0)) }
