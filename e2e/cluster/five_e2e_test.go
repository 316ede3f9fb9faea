//go:build e2e

package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "warren.io/warren/apis/v1"
)

// TestFiveManagers: of five managers two may be lost at once. One whose files are damaged fetches the store from the others. When
// four are lost for good, the fifth goes on alone with what it has.
func TestFiveManagers(t *testing.T) {
	c := newCluster(t)
	var all []*machine
	for _, name := range []string{"m1", "m2", "m3", "m4", "m5"} {
		all = append(all, c.machine(name))
	}
	m1 := all[0]
	m1.manager()
	m1.awaitNodes(v1.NodeReady, "m1")
	for _, m := range all[1:] {
		m.joinManager(m1)
	}
	leader := c.quorum(m1, all...)
	c.await("containers are up", func() bool {
		_, _, err := m1.try("image", "import", helloTar)
		return err == nil
	})
	m1.awaitNodes(v1.NodeReady, "m1", "m2", "m3", "m4", "m5")
	m1.ctl("node", "cordon", "m2", "m3", "m4", "m5")
	m1.apply(strings.Replace(web, "replicas: 3", "replicas: 1", 1))
	task := m1.settled(1, "m1")

	rest := others(all, leader)
	lost := []*machine{leader, rest[3]}
	c.kills(lost...)
	c.await("three of five take a change", func() bool {
		_, _, err := rest[0].try("label", "service/web", "--overwrite", "lost=two")
		return err == nil
	})
	damage(t, lost[0])
	for _, m := range lost {
		m.warren("run")
	}
	c.quorum(rest[1], all...)
	if out := lost[0].ctl("get", "service/web", "-o", "jsonpath={.metadata.labels.lost}"); !strings.Contains(out, "two") {
		t.Errorf("a manager that was damaged says %q", out)
	}
	c.same("two of five lost", task, rest[0].settled(1, "m1"))
	c.alonefrom(m1, all[1:], task)
}

// damage makes the database of a manager that does not run useless.
func damage(t *testing.T, m *machine) {
	t.Helper()
	db := filepath.Join(m.DataDir, "etcd", "member", "snap", "db")
	info, err := os.Stat(db)
	if err == nil {
		err = os.Truncate(db, info.Size()/2)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// alonefrom: the others are lost for good; one of five makes a cluster of its own of what it has. No task notices.
func (c *cluster) alonefrom(m *machine, gone []*machine, task []v1.Task) {
	c.t.Helper()
	m.ctl("label", "service/web", "last=word")
	c.await("m1 has heard of the last change", func() bool {
		return strings.Contains(m.ctl("get", "service/web", "-o", "jsonpath={.metadata.labels.last}"), "word")
	})
	c.kills(gone...)
	c.kills(m)
	if out, err := m.command(warren, "recover").CombinedOutput(); err == nil || !strings.Contains(string(out), "warren recover --alone") {
		c.t.Errorf("recover without a word says %s", out)
	}
	if out, err := m.command(warren, "recover", "--alone").CombinedOutput(); err != nil || !strings.Contains(string(out), "the only manager") {
		c.t.Fatalf("recover --alone: %v %s", err, out)
	}
	m.warren("run")
	c.quorum(m, m)
	m.awaitNodes(v1.NodeReady, "m1")
	c.same("recovered alone", task, on(m.settled(1, "m1"), "m1"))
	if out := m.ctl("get", "service/web", "-o", "jsonpath={.metadata.labels.last}"); !strings.Contains(out, "word") {
		c.t.Errorf("the last change before the loss is %q", out)
	}
	// One of the others comes back all the same: it is nobody's manager any more.
	gone[0].warren("run")
	c.await("one that comes back has no quorum", func() bool {
		_, errs, err := gone[0].try("label", "service/web", "who=me")
		return err != nil && strings.Contains(errs, "no quorum")
	})
	if len(m.managers()) != 1 {
		c.t.Errorf("the recovered manager sees %v", m.managers())
	}
}
