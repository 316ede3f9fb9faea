//go:build e2e

package cluster

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/e2e/agents"
)

// TestHundredAgents: one hundred agents give signs of life to three managers. That writes nothing, on no manager, and costs
// next to nothing.
func TestHundredAgents(t *testing.T) {
	const many = 100
	c := newCluster(t)
	m1, m2, m3 := c.machine("m1"), c.machine("m2"), c.machine("m3")
	m1.manager()
	m1.awaitNodes(v1.NodeReady, "m1")
	m2.joinManager(m1)
	m3.joinManager(m1)
	managers := []*machine{m1, m2, m3}
	c.quorum(m1, managers...)
	token := strings.TrimSpace(m1.ctl("token", "create", "--role", "worker", "--uses", strconv.Itoa(many)))
	h, err := c.bench.Host("swarm")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	swarm, err := agents.Start(t.Context(), h, t.TempDir(), token, many, m1.address(), m2.address(), m3.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = swarm.Stop() })
	c.await("all agents are ready", func() bool { return m2.ready() == many+3 })
	t.Logf("%d agents joined and were ready after %s", many, round(time.Since(began)))
	c.await("nothing is written for a while", func() bool {
		before := c.written(managers)
		wait(3 * v1.DefaultHeartbeat)
		return c.written(managers) == before
	})
	revision, written, cpu, from := m1.revision(), c.written(managers), c.cpu(managers), time.Now()
	wait(5 * v1.DefaultHeartbeat)
	window := time.Since(from)
	if after := c.written(managers); after != written {
		t.Errorf("in %s of signs of life the managers wrote; before and after %s and %s bytes", round(window), written, after)
	}
	for i, after := range c.cpu(managers) {
		share := 100 * float64(after-cpu[i]) / float64(window)
		t.Logf("%s: %.2f %% of a processor, %s", managers[i].Name, share, managers[i].field("status", "VmRSS"))
		if share > 10 { // on a machine that does much else; the bench has the figure
			t.Errorf("%s: signs of life of %d agents cost %.1f %% of a processor", managers[i].Name, many, share)
		}
	}
	if n := m1.revision(); n != revision {
		t.Errorf("signs of life made %d commits", n-revision)
	}
	if n := m3.ready(); n != many+3 {
		t.Errorf("%d nodes are ready, want %d", n, many+3)
	}
}

// wait lets time pass: what must not happen is looked for over time.
func wait(d time.Duration) { time.Sleep(d) }

// ready counts the nodes that are.
func (m *machine) ready() (count int) {
	for _, n := range items[v1.Node](m, "nodes") {
		if n.Status.State == v1.NodeReady {
			count++
		}
	}
	return count
}

// written is how many bytes each of these machines' warren has had written to disks.
func (c *cluster) written(all []*machine) string {
	var out []string
	for _, m := range all {
		out = append(out, m.field("io", "write_bytes"))
	}
	return strings.Join(out, " ")
}

// cpu is the time that each of these machines' warren has used.
func (c *cluster) cpu(all []*machine) (out []time.Duration) {
	for _, m := range all {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.cmd.Process.Pid))
		if err != nil {
			c.t.Fatal(err)
		}
		fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		out = append(out, time.Duration(user+system)*10*time.Millisecond)
	}
	return out
}

// field is a line of a file of /proc about warren.
func (m *machine) field(file, name string) string {
	m.c.t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", m.cmd.Process.Pid, file))
	if err != nil {
		m.c.t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if key, value, _ := strings.Cut(line, ":"); key == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
