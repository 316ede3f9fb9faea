//go:build e2e

package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/e2e/hosts"
)

const web = `apiVersion: warren.io/v1
kind: Service
metadata: {name: web}
spec: {image: "warren.io/hello:1", replicas: 3, env: {SECRET: s3cr3t}}
`

// TestWorkers is the life of a small cluster: machines join, one is killed, one is cut off, the manager is killed.
func TestWorkers(t *testing.T) {
	c := newCluster(t)
	m, a, b := c.machine("m"), c.machine("a"), c.machine("b")
	m.manager()
	m.awaitNodes(v1.NodeReady, "m")
	began := time.Now()
	a.join(m)
	b.join(m)
	m.awaitNodes(v1.NodeReady, "a", "b")
	t.Logf("two workers were ready %s after their first command", time.Since(began).Round(time.Millisecond))
	c.images(m, a, b)
	m.apply(web)
	tasks := m.settled(3, "m", "a", "b")
	for _, n := range []string{"m", "a", "b"} {
		if len(on(tasks, n)) != 1 {
			t.Errorf("3 tasks on 3 nodes, %d on %s", len(on(tasks, n)), n)
		}
	}
	c.inside(m, tasks)
	c.usage(m, tasks)
	c.asked(m, a, tasks)
	c.killed(m, a)
	c.cut(m, b)
	c.alone(m, a)
	c.idle(m)
	c.stopped(m, a)
	c.rebooted(m, a)
}

// TestNodesGo: tasks leave a worker that is drained, one after its successor serves; a worker that is removed stays so until it
// joins anew, and may then be called as before.
func TestNodesGo(t *testing.T) {
	c := newCluster(t)
	m, a := c.machine("m"), c.machine("a")
	m.manager()
	m.awaitNodes(v1.NodeReady, "m")
	a.join(m)
	m.awaitNodes(v1.NodeReady, "a")
	c.images(m, a)
	m.apply(strings.Replace(web, "replicas: 3", "replicas: 2", 1))
	before := m.settled(2, "m", "a")
	m.ctl("node", "drain", "a", "--timeout", "1m")
	after := m.settled(2, "m")
	c.same("a is drained", on(before, "m"), after)
	old, next := on(before, "a")[0], ""
	for _, x := range after {
		if x.Spec.Slot == old.Spec.Slot {
			next = x.Metadata.Name
		}
	}
	if why := m.ctl("why", "task/"+old.Metadata.Name); !strings.Contains(why, next) || !strings.Contains(why, "drain") {
		t.Errorf("the task that was moved to %s:\n%s", next, why)
	}
	m.ctl("node", "uncordon", "a")
	m.ctl("node", "rm", "a", "--force")
	c.await("the removed worker hears that it is not wanted", func() bool {
		data, _ := os.ReadFile(a.logs)
		return strings.Contains(string(data), "to come back: warren reset there")
	})
	if nodes := items[v1.Node](m, "nodes"); len(nodes) != 1 {
		t.Errorf("%d nodes after one of two was removed", len(nodes))
	}
	if err := a.Kill(hosts.Warren); err != nil {
		t.Fatal(err)
	}
	if out, err := a.command(warren, "reset", "--yes").CombinedOutput(); err != nil {
		t.Fatalf("reset: %v %s", err, out)
	}
	a.join(m)
	m.awaitNodes(v1.NodeReady, "a")
	c.same("a is back", after, m.settled(2, "m"))
}

// images brings the image to all machines, from the manager.
func (c *cluster) images(m, a *machine, more ...*machine) {
	for _, x := range append([]*machine{m, a}, more...) {
		c.await("containers of "+x.Name+" are up", func() bool {
			_, _, err := m.try("image", "import", helloTar, "--node", x.Name)
			return err == nil
		})
	}
	const hello = "warren.io/hello:1"
	m.ctl("image", "pin", hello, "--node", "a")
	if own := a.ctl("image", "list"); !strings.Contains(own, hello) || own != m.ctl("image", "list", "--node", "a") || own == m.ctl("image", "list") {
		c.t.Errorf("a has\n%s the manager says of it\n%s and of itself\n%s", own, m.ctl("image", "list", "--node", "a"), m.ctl("image", "list"))
	}
	m.ctl("image", "unpin", hello, "--node", "a")
	m.ctl("image", "rm", hello, "--node", "a")
	if own := a.ctl("image", "list"); strings.Contains(own, hello) {
		c.t.Errorf("removed from a, and there is\n%s", own)
	}
	m.ctl("image", "import", helloTar, "--node", "a")
	_, errs, err := m.try("image", "list", "--node", "nowhere")
	if err == nil || !strings.Contains(errs, `node "nowhere": not found`) {
		c.t.Errorf("images of no node: %v %s", err, errs)
	}
	_, errs, err = a.try("image", "list", "--node", "b")
	if err == nil || !strings.Contains(errs, "node a is a worker") {
		c.t.Errorf("images of another node at a worker: %v %s", err, errs)
	}
}

// inside asks the manager for what is on other nodes.
func (c *cluster) inside(m *machine, tasks []v1.Task) {
	for _, x := range tasks {
		name := x.Metadata.Name
		if out := m.ctl("logs", name); !strings.Contains(out, "hello") {
			c.t.Errorf("logs of %s: %q", name, out)
		}
		file := filepath.Join(c.t.TempDir(), "passwd")
		m.ctl("cp", name+":/etc/passwd", file)
		if data, err := os.ReadFile(file); err != nil || !strings.Contains(string(data), "app") {
			c.t.Errorf("cp of %s: %q %v", name, data, err)
		}
		if got := m.visit(name); !strings.Contains(got, name) {
			c.t.Errorf("a connection to %s: %q", name, got)
		}
		if out := m.ctl("exec", name, "--", "/hello", "-lines", "2", "-exit", "0"); strings.Count(out, "\n") != 2 {
			c.t.Errorf("exec in %s: %q", name, out)
		}
	}
}

// usage is read at the manager, of any node.
func (c *cluster) usage(m *machine, tasks []v1.Task) {
	for _, x := range tasks {
		if out := m.ctl("top", "tasks", "--node", x.Spec.Node, "--interval", "1ms"); strings.Count(out, "web-") != 1 || !strings.Contains(out, x.Metadata.Name) {
			c.t.Errorf("tasks of %s use\n%s", x.Spec.Node, out)
		}
		if out := m.ctl("top", "nodes", "--node", x.Spec.Node, "--interval", "1ms"); !strings.Contains(out, "\n"+x.Spec.Node+" ") {
			c.t.Errorf("node %s uses\n%s", x.Spec.Node, out)
		}
	}
}

// asked: a worker shows its own and changes nothing.
func (c *cluster) asked(m, a *machine, tasks []v1.Task) {
	got := items[v1.Task](a, "tasks")
	if len(got) != 1 || got[0].Spec.Node != "a" {
		c.t.Errorf("worker a sees %d tasks", len(got))
	}
	if nodes := items[v1.Node](a, "nodes"); len(nodes) != 1 || nodes[0].Metadata.Name != "a" {
		c.t.Errorf("worker a sees %d nodes", len(nodes))
	}
	if all := a.ctl("get", "services", "-o", "yaml") + a.ctl("get", "events", "-o", "yaml"); strings.Contains(all, "s3cr3t") {
		c.t.Error("worker a sees the environment of a service")
	}
	if out := a.ctl("get", "tokens", "-o", "name"); strings.TrimSpace(out) != "" {
		c.t.Errorf("worker a sees tokens: %s", out)
	}
	_, errs, err := a.try("scale", "service/web", "--replicas", "1")
	if err == nil || !strings.Contains(errs, "node a is a worker") || !strings.Contains(errs, "--server "+m.address()) {
		c.t.Errorf("scaling at a worker: %v %s", err, errs)
	}
}

// killed: warren of a worker is killed and comes back before anybody minds, and after its tasks were taken from it.
func (c *cluster) killed(m, a *machine) {
	before := m.running()
	if err := a.Kill(hosts.Warren); err != nil {
		c.t.Fatal(err)
	}
	a.warren("run")
	c.await("the worker takes its task over", func() bool {
		out, _, err := a.try("logs", on(before, "a")[0].Metadata.Name)
		return err == nil && strings.Contains(out, "hello")
	})
	m.awaitNodes(v1.NodeReady, "a")
	c.same("worker killed and back", before, m.settled(3, "m", "a", "b"))
}

// cut: what a silent worker ran is started elsewhere; when it is back only the surplus is stopped.
func (c *cluster) cut(m, b *machine) {
	before := m.running()
	moved := on(before, "b")[0]
	began := time.Now()
	if err := b.Cut(); err != nil {
		c.t.Fatal(err)
	}
	m.awaitNodes(v1.NodeSuspect, "b")
	m.awaitNodes(v1.NodeDown, "b")
	down := time.Since(began)
	c.await("the task of the cut worker runs elsewhere", func() bool {
		tasks := m.running()
		return len(tasks)-len(on(tasks, "b")) == 3
	})
	c.t.Logf("down %s after the cut, task runs elsewhere %s after it", down.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	_, errs, err := m.try("logs", moved.Metadata.Name)
	if err == nil || !strings.Contains(errs, "b") {
		c.t.Errorf("logs of a task on a cut node: %v %s", err, errs)
	}
	elsewhere := m.running()
	began = time.Now()
	if err := b.Heal(); err != nil {
		c.t.Fatal(err)
	}
	m.awaitNodes(v1.NodeReady, "b")
	c.t.Logf("ready %s after the cut was healed", time.Since(began).Round(time.Millisecond))
	after := m.settled(3, "m", "a", "b")
	c.same("worker cut and healed", append(on(elsewhere, "m"), on(elsewhere, "a")...), after)
}

// alone: without a manager tasks go on, and what crashes is started again.
func (c *cluster) alone(m, a *machine) {
	before := m.running()
	if err := m.Kill(hosts.Warren); err != nil {
		c.t.Fatal(err)
	}
	crashed := on(before, "a")[0]
	a.killTask(crashed)
	c.await("the crashed task runs again without a manager", func() bool {
		ps, err := a.Processes()
		if err != nil {
			return false
		}
		for _, p := range ps {
			if p.Kind == hosts.Task && p.Task != "" && p.PID != crashed.Status.PID {
				return true
			}
		}
		return false
	})
	m.warren("run", "--listen", m.address())
	m.awaitNodes(v1.NodeReady, "m", "a", "b")
	c.await("the restart is reported", func() bool {
		for _, x := range m.running() {
			if x.Metadata.Name == crashed.Metadata.Name {
				return x.Status.Restarts == crashed.Status.Restarts+1
			}
		}
		return false
	})
	after := m.settled(3, "m", "a", "b")
	c.same("manager killed and back", append(on(before, "m"), on(before, "b")...), after)
	if len(on(after, "a")) != len(on(before, "a")) {
		c.t.Error(fmt.Sprint("tasks of a were replaced: ", after))
	}
}

// idle: signs of life are not written.
func (c *cluster) idle(m *machine) {
	before := m.revision()
	heard := time.Now()
	c.await("some heartbeats", func() bool { return time.Since(heard) > 3*v1.DefaultHeartbeat })
	if after := m.revision(); after != before {
		c.t.Errorf("an idle cluster with workers went from revision %d to %d", before, after)
	}
	for _, x := range c.all {
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", x.cmd.Process.Pid))
		_, rss, _ := strings.Cut(string(data), "VmRSS:")
		rss, _, _ = strings.Cut(rss, "\n")
		c.t.Logf("%s holds %s", x.Name, strings.TrimSpace(rss))
	}
}

// stopped: a worker that is stopped and started goes on, and says on its own socket how it is.
func (c *cluster) stopped(m, a *machine) {
	before := m.running()
	if out, err := a.command(warren, "stop").CombinedOutput(); err != nil {
		c.t.Fatalf("stop: %v %s", err, out)
	}
	a.warren("run")
	c.await("the worker is up again", func() bool {
		_, _, err := a.try("logs", on(before, "a")[0].Metadata.Name)
		return err == nil
	})
	c.same("worker stopped and back", before, m.settled(3, "m", "a", "b"))
	if out := a.ctl("version"); !strings.Contains(out, "on node a") {
		c.t.Errorf("version at a worker: %s", out)
	}
	bundle := filepath.Join(c.t.TempDir(), "bundle.tar.gz")
	a.ctl("debug", "bundle", "-o", bundle)
	if out := a.ctl("why", "node/a"); !strings.Contains(out, "node/a is ready") {
		c.t.Errorf("why at a worker: %s", out)
	}
}

// rebooted: a worker that lost its power starts its tasks again, under the same names if it is soon back.
func (c *cluster) rebooted(m, a *machine) {
	before := m.running()
	if err := a.Reboot(); err != nil {
		c.t.Fatal(err)
	}
	a.warren("run")
	own := on(before, "a")
	c.await("the tasks of the worker run again", func() bool {
		now := on(m.running(), "a")
		return len(now) == len(own) && now[0].Metadata.Name == own[0].Metadata.Name && now[0].Status.PID != own[0].Status.PID
	})
	after := m.settled(3, "m", "a", "b")
	c.same("worker rebooted", append(on(before, "m"), on(before, "b")...), after)
}

// TestAdvertise: a manager that listens everywhere says by which address workers come, and is known by it.
func TestAdvertise(t *testing.T) {
	c := newCluster(t)
	m := c.machine("m")
	m.warren("run", "--node-name", "m", "--listen", "0.0.0.0:7070", "--advertise", m.address())
	m.awaitNodes(v1.NodeReady, "m")
	_, errs, err := m.try("token", "create", "--role", "worker", "--ttl", "5m")
	if err != nil || !strings.Contains(errs, "warren join "+m.address()+" --token") {
		t.Errorf("%v %s", err, errs)
	}
	if _, errs, err := m.try("--server", m.address(), "--keys", filepath.Join(m.DataDir, "keys"), "get", "nodes"); err != nil {
		t.Errorf("by the address that it advertises: %s", errs)
	}
}
