//go:build e2e

package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/e2e/hosts"
	"warren.io/warren/runtime/store/journal"
)

// TestAlone: what a worker does without any manager, and what becomes of that when they are back.
func TestAlone(t *testing.T) {
	c := newCluster(t)
	m, a := c.machine("m"), c.machine("a")
	m.manager()
	m.awaitNodes(v1.NodeReady, "m")
	a.join(m)
	m.awaitNodes(v1.NodeReady, "a")
	c.images(m, a)
	m.apply(strings.Replace(web, "replicas: 3", "replicas: 2", 1))
	before := m.settled(2, "m", "a")
	c.await("the worker has it on its disk", func() bool {
		return strings.Contains(string(a.journal()), `"Task/`+on(before, "a")[0].Metadata.Name+`"`)
	})
	if err := m.Kill(hosts.Warren); err != nil {
		t.Fatal(err)
	}
	c.crashes(a, 1)
	c.await("the worker says how old its answers are", func() bool {
		out, errs, err := a.try("get", "tasks")
		return err == nil && strings.Contains(out, on(before, "a")[0].Metadata.Name) && strings.Contains(errs, "warning: a answers alone, as of ")
	})
	c.restartsAlone(a)
	c.crashes(a, 2)
	c.rebootsAlone(a, on(before, "a")[0])
	c.managerIsBack(m, a, before)
	c.wasReplaced(m, a)
}

func (m *machine) journal() []byte {
	data, _ := os.ReadFile(filepath.Join(m.DataDir, "journal", journal.Name))
	return data
}

// only is the one task that a worker has, by what it knows itself.
func (m *machine) only() v1.Task {
	if tasks := items[v1.Task](m, "tasks"); len(tasks) == 1 {
		return tasks[0]
	}
	return v1.Task{}
}

// crashes: a task that crashes is started again, and the worker's own API tells of it.
func (c *cluster) crashes(a *machine, restarts int) {
	crashed := a.only()
	a.killTask(crashed)
	c.await("the crashed task runs again without a manager", func() bool {
		now := a.only()
		return now.Status.Ready && now.Status.Restarts == restarts && now.Status.PID != crashed.Status.PID
	})
}

// restartsAlone: warren is killed and started, which its tasks do not notice.
func (c *cluster) restartsAlone(a *machine) {
	before := a.only()
	if err := a.Kill(hosts.Warren); err != nil {
		c.t.Fatal(err)
	}
	a.warren("run")
	c.await("the worker takes its task over, as it is", func() bool {
		_, _, err := a.try("logs", before.Metadata.Name)
		now := a.only()
		return err == nil && now.Status.Ready && now.Status.PID == before.Status.PID && now.Status.Restarts == before.Status.Restarts
	})
}

// rebootsAlone: a machine that lost its power starts its tasks again without a manager, with the addresses that they had.
func (c *cluster) rebootsAlone(a *machine, first v1.Task) {
	before := a.only()
	if err := a.Reboot(); err != nil {
		c.t.Fatal(err)
	}
	began := time.Now()
	a.warren("run")
	c.await("the task of the worker runs again without a manager", func() bool {
		now := a.only()
		return now.Status.Ready && now.Status.PID != before.Status.PID
	})
	c.t.Logf("a task ran %s after the reboot without a manager", time.Since(began).Round(time.Millisecond))
	now := a.only()
	if now.Metadata.Name != first.Metadata.Name || now.Status.Address != first.Status.Address || now.Status.Address == "" {
		c.t.Errorf("%s had %s, after the reboot %s has %q", first.Metadata.Name, first.Status.Address, now.Metadata.Name, now.Status.Address)
	}
}

// managerIsBack: it hears what was, and nothing is touched.
func (c *cluster) managerIsBack(m, a *machine, before []v1.Task) {
	alone := a.only()
	m.warren("run", "--listen", m.address())
	m.awaitNodes(v1.NodeReady, "m", "a")
	c.await("what was done alone is reported", func() bool {
		now := on(m.running(), "a")
		return len(now) == 1 && now[0].Status.PID == alone.Status.PID && now[0].Status.Restarts == alone.Status.Restarts
	})
	c.same("manager away and back", append(on(before, "m"), alone), m.settled(2, "m", "a"))
	size, heard := 0, time.Now()
	c.await("nothing more is written while only heartbeats come", func() bool {
		if now := len(a.journal()); now != size {
			size, heard = now, time.Now()
		}
		return time.Since(heard) > 2*v1.DefaultHeartbeat
	})
	c.same("manager back for a while", append(on(before, "m"), alone), m.settled(2, "m", "a"))
}

// wasReplaced: a worker that starts its task again, not knowing that it was replaced elsewhere, stops it when it hears of that;
// the one elsewhere goes on.
func (c *cluster) wasReplaced(m, a *machine) {
	if err := a.Kill(); err != nil {
		c.t.Fatal(err)
	}
	m.awaitNodes(v1.NodeDown, "a")
	elsewhere := []v1.Task{}
	c.await("both tasks run on the manager", func() bool { elsewhere = on(m.running(), "m"); return len(elsewhere) == 2 })
	if err := m.Kill(hosts.Warren); err != nil {
		c.t.Fatal(err)
	}
	if err := a.Reboot(); err != nil {
		c.t.Fatal(err)
	}
	a.warren("run")
	c.await("the worker runs its task, since nobody tells it otherwise", func() bool { return a.only().Status.Ready })
	m.warren("run", "--listen", m.address())
	m.awaitNodes(v1.NodeReady, "m", "a")
	c.await("the surplus task is stopped", func() bool {
		ps, err := a.Processes()
		for _, p := range ps {
			if p.Kind == hosts.Task {
				return false
			}
		}
		return err == nil && len(items[v1.Task](a, "tasks")) == 0
	})
	c.same("replaced and back", elsewhere, m.settled(2, "m"))
}

// TestWorkerMovesOn: a worker that joined at one manager knows all three, and goes to another when its own falls silent.
func TestWorkerMovesOn(t *testing.T) {
	c := newCluster(t)
	m1, m2, m3, w := c.machine("m1"), c.machine("m2"), c.machine("m3"), c.machine("w")
	m1.manager()
	m1.awaitNodes(v1.NodeReady, "m1")
	w.join(m1)
	m1.awaitNodes(v1.NodeReady, "w")
	m2.joinManager(m1)
	m3.joinManager(m1)
	c.quorum(m1, m1, m2, m3)
	c.await("the worker knows three managers", func() bool {
		data, _ := os.ReadFile(filepath.Join(w.DataDir, "node.json"))
		return strings.Contains(string(data), m1.address()) && strings.Contains(string(data), m2.address()) && strings.Contains(string(data), m3.address())
	})
	began := time.Now()
	if err := m1.Cut(); err != nil { // which the worker speaks to since it joined
		t.Fatal(err)
	}
	c.await("another manager can ask the worker", func() bool {
		_, _, err := m2.try("top", "nodes", "--node", "w", "--interval", "1ms")
		_, _, other := m3.try("top", "nodes", "--node", "w", "--interval", "1ms")
		return err == nil || other == nil
	})
	t.Logf("the worker was with another manager %s after its own fell silent", time.Since(began).Round(time.Millisecond))
	m2.awaitNodes(v1.NodeReady, "w")
	for _, e := range items[v1.Event](m2, "events") {
		if e.Spec.About.Name == "w" && e.Spec.Reason == "Down" {
			t.Errorf("the worker was given up: %s", e.Metadata.Name)
		}
	}
}
