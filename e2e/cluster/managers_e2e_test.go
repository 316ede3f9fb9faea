//go:build e2e

package cluster

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

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
func (m *machine) managers() (all []grpcstore.ManagerState) {
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

// TestManagers: three managers and three workers on six machines. Whoever leads is killed, all are restarted, one gets another
// address, one is demoted and promoted again; tasks never notice.
func TestManagers(t *testing.T) {
	c := newCluster(t)
	m1, m2, m3 := c.machine("m1"), c.machine("m2"), c.machine("m3")
	m1.manager()
	m1.awaitNodes(v1.NodeReady, "m1")
	m2.joinManager(m1)
	m3.joinManager(m1)
	c.quorum(m1, m1, m2, m3)
	m1.awaitNodes(v1.NodeReady, "m1", "m2", "m3")
	w1, w2, w3 := c.machine("w1"), c.machine("w2"), c.machine("w3")
	w1.join(m1)
	w2.join(m2)
	w3.join(m3)
	m2.awaitNodes(v1.NodeReady, "w1", "w2", "w3")
	c.images(m1, m1, m2, m3, w1, w2, w3)
	m2.apply(strings.Replace(web, "replicas: 3", "replicas: 6", 1))
	tasks := m3.settled(6, "m1", "m2", "m3", "w1", "w2", "w3")

	leader := c.quorum(m1, m1, m2, m3)
	if err := leader.Kill(hosts.Warren); err != nil {
		t.Fatal(err)
	}
	_ = tasks
}
