package warrenctl

import (
	"strings"
	"testing"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
)

// on makes a task that is on a node.
func on(node string, o meta.Object) meta.Object {
	o.(*v1.Task).Spec.Node = node
	return o
}

func TestWatchOfFields(t *testing.T) {
	n := newLive(t, nil)
	n.put(on("n1", task("web-1-1", "web", false)), on("n2", task("web-2-2", "web", false)))
	n.run(false, "get", "tasks", "-w", "--field-selector", "status.phase!=Running,spec.node=n1", "-o", "custom-columns=NAME:.metadata.name,PHASE:.status.phase")
	n.prints(&n.out, "web-1-1   Preparing\n")
	n.put(on("n2", task("web-2-2", "web", true)), on("n1", task("web-1-1", "web", true)))
	n.prints(&n.err, "task/web-1-1 deleted")
	n.put(on("n1", task("web-3-3", "web", false)))
	n.prints(&n.out, "web-3-3   Preparing\n")
	if got := n.out.String() + n.err.String(); strings.Contains(got, "web-2-2") {
		t.Errorf("printed %s", got)
	}
}

func TestWatchOfATemplate(t *testing.T) {
	n := newLive(t, nil)
	n.put(svc("web", 1, 1, 2, 0))
	n.run(false, "get", "services", "-w", "-o", "jsonpath={.metadata.name} {.status.ready}")
	n.prints(&n.out, "web 0\n")
	n.put(svc("web", 1, 1, 2, 2))
	n.prints(&n.out, "web 2\n")
}
