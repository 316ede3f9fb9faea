//go:build e2e

package cluster

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/e2e/hosts"
	"warren.io/warren/runtime/store/grpcstore"
)

// joinManager makes it a manager beside another.
func (m *machine) joinManager(at *machine) {
	m.c.t.Helper()
	token := strings.TrimSpace(at.ctl("token", "create", "--role", "manager"))
	m.warren("join", at.address(), "--token", token, "--node-name", m.Name, "--listen", "0.0.0.0:7070")
}

// managers are those that a machine knows of.
func (m *machine) managers() (all []grpcstore.MemberState) {
	out, _, err := m.try("cluster", "status", "-o", "json")
	if err != nil || json.Unmarshal([]byte(out), &all) != nil {
		return nil
	}
	return all
}

// quorum waits until so many managers vote, all can be reached and one leads, and returns that.
func (c *cluster) quorum(at *machine, voters ...*machine) (leader *machine) {
	c.t.Helper()
	var names []string
	for _, v := range voters {
		names = append(names, v.Name)
	}
	slices.Sort(names)
	c.await("the managers are "+strings.Join(names, ", "), func() bool {
		leader = nil
		var have []string
		for _, s := range at.managers() {
			if s.Voter && s.Reachable {
				have = append(have, s.Name)
			}
			if s.Leader {
				leader = c.named(s.Name)
			}
		}
		return leader != nil && slices.Equal(have, names)
	})
	return leader
}

func (c *cluster) named(name string) *machine {
	for _, m := range c.all {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// kills ends warren on machines as a power cut would, but for the tasks.
func (c *cluster) kills(all ...*machine) {
	c.t.Helper()
	for _, m := range all {
		if err := m.Kill(hosts.Warren); err != nil {
			c.t.Fatal(err)
		}
	}
}

// TestManagers: three managers and three workers on six machines. Whoever leads is killed, all are, two are cut off, one is
// demoted, promoted and removed; tasks never notice.
func TestManagers(t *testing.T) {
	c := newCluster(t)
	m1, m2, m3 := c.machine("m1"), c.machine("m2"), c.machine("m3")
	m1.warren("run", "--node-name", "m1", "--listen", "0.0.0.0:7070")
	m1.awaitNodes(v1.NodeReady, "m1")
	m2.joinManager(m1)
	m3.joinManager(m1)
	c.quorum(m1, m1, m2, m3)
	w1, w2, w3 := c.machine("w1"), c.machine("w2"), c.machine("w3")
	w1.join(m1)
	w2.join(m2)
	w3.join(m3)
	m2.awaitNodes(v1.NodeReady, "m1", "m2", "m3", "w1", "w2", "w3")
	for _, m := range c.all {
		c.await("containers of "+m.Name+" are up", func() bool {
			_, _, err := m.try("image", "import", helloTar)
			return err == nil
		})
	}
	m2.apply(strings.Replace(web, "replicas: 3", "replicas: 6", 1))
	tasks := m3.settled(6, "m1", "m2", "m3", "w1", "w2", "w3")
	if out := m3.ctl("top", "nodes", "--interval", "1ms"); strings.Count(out, "\n") != 7 {
		t.Errorf("what six nodes use:\n%s", out)
	}
	if out := m1.ctl("audit"); strings.Count(out, "service/web") != 1 {
		t.Errorf("what was applied at m2 is not in the audit log that m1 tells:\n%s", out)
	}
	for _, x := range tasks { // any manager reaches any node
		if out := m2.ctl("logs", x.Metadata.Name); !strings.Contains(out, "hello") {
			t.Errorf("logs of %s on %s at m2: %q", x.Metadata.Name, x.Spec.Node, out)
		}
	}
	c.hold([]*machine{m1, m2, m3}, w1, w2, w3)
	c.leaderKilled(tasks, m1, m2, m3)
	c.allKilled(tasks, m1, m2, m3)
	c.minority(tasks, m1, m2, m3)
	c.moved(m1, m2, m3)
	c.managerRemoved(c.demoted(tasks, m1, m2, m3), m1, m2, m3)
}

func others(all []*machine, not *machine) []*machine {
	return slices.DeleteFunc(slices.Clone(all), func(m *machine) bool { return m == not })
}

// leaderKilled: the next change is taken by the others, reads go on, and no task notices.
func (c *cluster) leaderKilled(tasks []v1.Task, all ...*machine) {
	leader := c.quorum(all[0], all...)
	rest := others(all, leader)
	began := time.Now()
	c.kills(leader)
	if items[v1.Node](rest[0], "nodes") == nil {
		c.t.Error("another manager does not answer right after the leader's death")
	}
	c.await("a change is taken", func() bool {
		_, _, err := rest[1].try("label", "service/web", "--overwrite", "when="+time.Now().Format("150405.000000"))
		return err == nil
	})
	c.t.Logf("%s led; a change was taken %s after its death, command and all", leader.Name, time.Since(began).Round(time.Millisecond))
	leader.warren("run")
	c.quorum(rest[0], all...)
	rest[0].awaitNodes(v1.NodeReady, "m1", "m2", "m3", "w1", "w2", "w3")
	c.same("leader killed and back", tasks, rest[1].settled(6, "m1", "m2", "m3", "w1", "w2", "w3"))
}

// allKilled: without any manager tasks go on; a crashed one starts again; the managers come back in another order.
func (c *cluster) allKilled(tasks []v1.Task, all ...*machine) {
	c.kills(all...)
	crashed := on(tasks, "w1")[0]
	w1 := c.named("w1")
	w1.killTask(crashed)
	c.await("a crashed task runs again without managers", func() bool {
		ps, _ := w1.Processes()
		return slices.ContainsFunc(ps, func(p hosts.Process) bool {
			return p.Kind == hosts.Task && p.Task != "" && p.PID != crashed.Status.PID
		})
	})
	for _, m := range slices.Backward(all) {
		m.warren("run")
	}
	c.quorum(all[1], all...)
	all[1].awaitNodes(v1.NodeReady, "m1", "m2", "m3", "w1", "w2", "w3")
	c.await("the restart is reported", func() bool {
		return slices.ContainsFunc(on(all[1].running(), "w1"), func(t v1.Task) bool { return t.Status.Restarts == crashed.Status.Restarts+1 })
	})
	left := slices.DeleteFunc(slices.Clone(tasks), func(t v1.Task) bool { return t.Spec.Node == "w1" })
	after := all[2].settled(6, "m1", "m2", "m3", "w1", "w2", "w3")
	c.same("all managers killed and back", left, after)
	if now := on(after, "w1"); len(now) != 1 || now[0].Metadata.Name != crashed.Metadata.Name {
		c.t.Errorf("the crashed task became %v", now)
	}
}

// minority: a manager without the others refuses changes at once, and answers from what it has.
func (c *cluster) minority(_ []v1.Task, all ...*machine) {
	tasks := all[0].running()
	alone := c.quorum(all[0], all...)
	rest := others(all, alone)
	for _, m := range rest {
		if err := m.Cut(); err != nil {
			c.t.Fatal(err)
		}
	}
	c.await("the minority refuses changes", func() bool {
		_, errs, err := alone.try("label", "service/web", "alone=yes")
		return err != nil && strings.Contains(errs, "no quorum: 1 of 3 managers reachable")
	})
	began := time.Now()
	out, errs, err := alone.try("get", "tasks")
	if err != nil || !strings.Contains(out, "web-1-1") || !strings.Contains(errs, "warning: "+alone.Name+" answers alone, as of") {
		c.t.Errorf("a manager alone says %q %q %v", out, errs, err)
	}
	c.t.Logf("the minority answered in %s", time.Since(began).Round(time.Millisecond))
	for _, m := range rest {
		if err := m.Heal(); err != nil {
			c.t.Fatal(err)
		}
	}
	c.quorum(alone, all...)
	alone.awaitNodes(v1.NodeReady, "m1", "m2", "m3", "w1", "w2", "w3")
	c.same("managers cut and healed", tasks, alone.settled(6, "m1", "m2", "m3", "w1", "w2", "w3"))
}

// moved: the leader comes back under another address, and at once the next leader does, which may not know of that; workers find
// them, and nobody has done anything.
func (c *cluster) moved(all ...*machine) {
	tasks := all[0].running()
	for range 2 {
		leader := c.quorum(all[0], all...)
		c.kills(leader)
		if err := leader.Move(); err != nil {
			c.t.Fatal(err)
		}
		leader.warren("run")
		c.quorum(leader, all...)
	}
	var want []string
	for _, m := range all {
		want = append(want, m.address())
	}
	c.await("all know the new addresses", func() bool {
		var have []string
		for _, s := range all[1].managers() {
			have = append(have, s.Address)
		}
		return slices.Equal(have, want)
	})
	all[0].awaitNodes(v1.NodeReady, "m1", "m2", "m3", "w1", "w2", "w3")
	c.same("managers moved", tasks, all[0].settled(6, "m1", "m2", "m3", "w1", "w2", "w3"))
}

// demoted: a manager becomes a worker and a manager again, by its own doing; its tasks go on.
func (c *cluster) demoted(_ []v1.Task, all ...*machine) *machine {
	tasks := all[0].running()
	leader := c.quorum(all[0], all...)
	rest := others(all, leader)
	_, errs, err := rest[0].try("node", "demote", leader.Name)
	if err != nil || !strings.Contains(errs, "of 2 managers no more may fail than of 1") {
		c.t.Errorf("demote: %v %s", err, errs)
	}
	c.quorum(rest[0], rest...)
	c.await("it is a worker", func() bool {
		for _, n := range items[v1.Node](rest[0], "nodes") {
			if n.Metadata.Name == leader.Name {
				return n.Status.Role == v1.RoleWorker && n.Status.State == v1.NodeReady
			}
		}
		return false
	})
	if _, errs, err := leader.try("label", "service/web", "x=y"); err == nil || !strings.Contains(errs, "is a worker") {
		c.t.Errorf("a demoted manager: %v %s", err, errs)
	}
	c.hold(rest, leader)
	rest[0].ctl("node", "promote", leader.Name)
	c.quorum(rest[0], all...)
	rest[0].awaitNodes(v1.NodeReady, "m1", "m2", "m3")
	c.same("manager demoted and promoted", tasks, leader.settled(6, "m1", "m2", "m3", "w1", "w2", "w3"))
	return leader
}

// managerRemoved: one that is lost for good is removed; another majority goes on, and refuses to become less.
func (c *cluster) managerRemoved(gone *machine, all ...*machine) {
	all = others(all, gone)
	c.kills(gone)
	all[0].awaitNodes(v1.NodeDown, gone.Name)
	if _, errs, err := all[0].try("node", "demote", all[1].Name); err == nil || !strings.Contains(errs, "too few managers would be left") {
		c.t.Errorf("demoting one of two that are left: %v %s", err, errs)
	}
	all[0].ctl("node", "rm", gone.Name)
	c.quorum(all[0], all...)
	all[0].settled(6, all[0].Name, all[1].Name, "w1", "w2", "w3")

	// It comes back all the same: it is nobody's any more, and what it ran is stopped.
	gone.warren("run")
	c.await("a removed manager stops what it ran", func() bool {
		ps, err := gone.Processes()
		return err == nil && !slices.ContainsFunc(ps, func(p hosts.Process) bool { return p.Kind == hosts.Task })
	})
	c.quorum(all[0], all...)
}
