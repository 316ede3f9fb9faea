//go:build e2e

package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/e2e/hosts"
	"warren.io/warren/runtime/identity"
	"warren.io/warren/runtime/store/memstore"
)

func (m *machine) logged(text string) bool {
	data, _ := os.ReadFile(m.logs)
	return strings.Contains(string(data), text)
}

// tasks are how many tasks run on the machine, whatever anybody says.
func (m *machine) tasks() int {
	m.c.t.Helper()
	ps, err := m.Processes()
	if err != nil {
		m.c.t.Fatal(err)
	}
	count := 0
	for _, p := range ps {
		if p.Kind == hosts.Task && p.Task != "" {
			count++
		}
	}
	return count
}

// TestNameOfARemovedWorker: a worker that is removed stops what it ran, and while it still runs and still has its certificate its
// name can be given to another machine, which it does not disturb.
func TestNameOfARemovedWorker(t *testing.T) {
	c := newCluster(t)
	m, a, b := c.machine("m"), c.machine("a"), c.machine("b")
	m.manager()
	m.awaitNodes(v1.NodeReady, "m")
	a.join(m)
	m.awaitNodes(v1.NodeReady, "a")
	c.images(m, a)
	m.apply(strings.Replace(web, "replicas: 3", "replicas: 2", 1))
	m.settled(2, "m", "a")
	m.ctl("node", "rm", "a", "--force")
	c.await("the removed worker hears that it is not wanted", func() bool { return a.logged("was removed from this cluster") })
	c.await("the removed worker stops what it ran", func() bool { return a.tasks() == 0 })
	if !m.logged("a node is none any more") {
		t.Error("the manager says nothing")
	}
	m.settled(2, "m")
	token := strings.TrimSpace(m.ctl("token", "create", "--role", "worker"))
	b.warren("join", m.address(), "--token", token, "--node-name", "a")
	m.awaitNodes(v1.NodeReady, "a")
	c.await("containers of the new machine are up", func() bool {
		_, _, err := m.try("image", "import", helloTar, "--node", "a")
		return err == nil
	})
	m.ctl("scale", "service/web", "--replicas", "4")
	before := m.settled(4, "m", "a")
	if n := len(on(before, "a")); n != b.tasks() || a.tasks() != 0 {
		t.Errorf("%d tasks are on node a; the new machine runs %d, the old one %d", n, b.tasks(), a.tasks())
	}
	if err := a.Kill(hosts.Warren); err != nil { // it begins anew with its good certificate
		t.Fatal(err)
	}
	if err := os.Truncate(a.logs, 0); err != nil {
		t.Fatal(err)
	}
	a.warren("run")
	c.await("the old machine is told again", func() bool { return a.logged("was removed from this cluster") })
	c.same("the old machine is back", before, m.settled(4, "m", "a"))
}

// TestSwitchedOffForLong: a worker comes back with a certificate that has run out meanwhile, renews it by itself and goes on.
func TestSwitchedOffForLong(t *testing.T) {
	c := newCluster(t)
	m, a := c.machine("m"), c.machine("a")
	m.manager()
	m.awaitNodes(v1.NodeReady, "m")
	a.join(m)
	m.awaitNodes(v1.NodeReady, "a")
	c.images(m, a)
	m.apply(strings.Replace(web, "replicas: 3", "replicas: 2", 1))
	before := m.settled(2, "m", "a")
	if err := a.Kill(hosts.Warren); err != nil {
		t.Fatal(err)
	}
	m.outdates(a)
	a.warren("run")
	c.await("the worker renews its certificate", func() bool { return a.logged("certificate is renewed") })
	m.awaitNodes(v1.NodeReady, "a")
	c.await("the worker is asked by the manager", func() bool {
		_, _, err := m.try("image", "list", "--node", "a")
		return err == nil
	})
	c.same("the worker was off until its certificate had run out", before, m.settled(2, "m", "a"))
}

// outdates gives a worker the certificate that it would have if it had been off for 90 days.
func (m *machine) outdates(a *machine) {
	t := m.c.t
	t.Helper()
	node, err := identity.OpenNode(filepath.Join(a.DataDir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	var known meta.Object
	for _, n := range items[v1.Node](m, "nodes") {
		if n.Metadata.Name == a.Name {
			known = &n
		}
	}
	past := func() time.Time { return time.Now().Add(-90*24*time.Hour - time.Hour) }
	desk, err := identity.OpenDesk(filepath.Join(m.DataDir, "keys"), memstore.New(known), past)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := node.Request()
	if err != nil {
		t.Fatal(err)
	}
	cert, _, err := desk.Renew(t.Context(), a.Name, csr)
	if err == nil {
		err = node.Renewed(cert)
	}
	if err != nil || !node.Expired() {
		t.Fatal("no certificate that has run out: ", err)
	}
}
