//go:build e2e

package node

import (
	"strings"
	"testing"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/e2e/hosts"
)

// On the only node a drain cannot end: the task serves on, and the command says why and that time is over. What is wanted
// outlives warren. By force it goes all the same, and comes back with uncordon.
func TestDrainTheOnlyNode(t *testing.T) {
	w := running(t)
	w.apply(service("web", image)+service("all", image+"mode: Global"), "--wait")
	before := w.one("web", "runs", ready)
	w.ctl("node", "cordon", "n1")
	w.because("node/n1", "is cordoned")
	r := w.try("node", "drain", "n1", "--timeout", "3s")
	if r.code != 4 || !strings.Contains(r.err, before.Metadata.Name+" waits for its successor") || !strings.Contains(r.err, "1 node is cordoned") {
		t.Fatalf("drain of the only node: code %d, %s%s", r.code, r.out, r.err)
	}
	w.alive(before)
	w.await("the global service leaves", func() bool { return len(w.tasks("all")) == 0 })
	if err := w.host.Kill(hosts.Warren); err != nil {
		t.Fatal(err)
	}
	<-w.ended
	w.start()
	w.ready()
	w.alive(before)
	if n := objects[v1.Node](w, "nodes")[0]; n.Spec.Drain != v1.DrainGentle {
		t.Errorf("after a restart the node is wanted so: %+v", n.Spec)
	}
	w.ctl("node", "drain", "n1", "--force")
	w.because("node/n1", "is drained: nothing runs there")
	w.ctl("node", "uncordon", "n1")
	w.ctl("wait", "service/web", "service/all", "--for", "condition=Available")
	w.one("web", "runs again", ready)
	if r := w.try("node", "rm", "n1", "--force"); r.code != 1 || !strings.Contains(r.err, "it is the only manager") {
		t.Errorf("the leader was removed: %+v", r)
	}
	if r := w.try("node", "rm", "n1"); r.code != 1 || !strings.Contains(r.err, "it is the only one") {
		t.Errorf("the leader was removed: %+v", r)
	}
	if n := objects[v1.Node](w, "nodes")[0]; n.Spec != (v1.NodeSpec{}) {
		t.Errorf("the refusal left %+v", n.Spec)
	}
	w.one("all", "runs again", ready)
}
