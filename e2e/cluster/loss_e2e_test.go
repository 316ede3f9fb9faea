//go:build e2e

package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/e2e/hosts"
)

// losing are three services that differ in what becomes of their tasks when a node is lost.
const losing = `apiVersion: warren.io/v1
kind: Service
metadata: {name: now}
spec: {image: "warren.io/hello:1", replicas: 3}
---
apiVersion: warren.io/v1
kind: Service
metadata: {name: later}
spec: {image: "warren.io/hello:1", replicas: 3, nodeLoss: {after: 3s}}
---
apiVersion: warren.io/v1
kind: Service
metadata: {name: keep}
spec: {image: "warren.io/hello:1", replicas: 3, nodeLoss: {action: Keep}}
`

// TestLoss loses a worker in every way there is, with times of liveness of its own, and looks at what runs where then and
// when the worker is back.
func TestLoss(t *testing.T) {
	c := newCluster(t)
	m, a, b := c.machine("m"), c.machine("a"), c.machine("b")
	m.manager()
	m.awaitNodes(v1.NodeReady, "m")
	a.join(m)
	b.join(m)
	m.awaitNodes(v1.NodeReady, "a", "b")
	c.images(m, a, b)
	m.times("500ms", "1500ms", "3s")
	m.apply(losing)
	m.settled(9, "m", "a", "b")

	c.lose("is cut off", m, b, b.Cut, b.Heal)
	c.lose("is not heard", m, b, b.Mute, b.Heal)
	c.lose("does not hear", m, b, b.Deafen, b.Heal)
	c.lose("is killed", m, b, func() error { return b.Kill(hosts.Warren) }, func() error { b.warren("run"); return nil })
	c.lose("stands still", m, b, func() error { return b.Pause(hosts.Warren) }, func() error { return b.Resume(hosts.Warren) })
	c.lose("has no power", m, b, b.Reboot, func() error { b.warren("run"); return nil })
	c.removed(m, b)
}

// times sets those of liveness.
func (m *machine) times(heartbeat, suspect, down string) {
	m.c.t.Helper()
	var spec []string
	for line := range strings.Lines(m.ctl("get", "cluster", "warren", "-o", "yaml")) {
		key, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		if value := map[string]string{"heartbeat": heartbeat, "suspectAfter": suspect, "downAfter": down}[key]; value != "" {
			line = "  " + key + ": " + value + "\n"
		}
		spec = append(spec, line)
	}
	m.apply(strings.Join(spec, ""))
}

// of are the tasks of a service.
func of(tasks []v1.Task, service string) []v1.Task {
	return slices.DeleteFunc(slices.Clone(tasks), func(t v1.Task) bool { return t.Spec.Service != service })
}

// balanced gives each node one task of each service again; those that are kept have never moved.
func (c *cluster) balanced(m *machine) []v1.Task {
	c.t.Helper()
	kept := of(m.running(), "keep")
	m.apply(strings.Replace(losing, "replicas: 3", "replicas: 0", 2))
	c.await("only what is kept runs", func() bool { return len(items[v1.Task](m, "tasks")) == 3 })
	m.apply(losing)
	all := m.settled(9, "m", "a", "b")
	c.same("others are scaled", kept, all)
	for _, s := range []string{"now", "later", "keep"} {
		for _, n := range []string{"m", "a", "b"} {
			if len(on(of(all, s), n)) != 1 {
				c.t.Fatalf("%s has %d tasks on %s", s, len(on(of(all, s), n)), n)
			}
		}
	}
	return all
}

// lose takes a worker away until its tasks are replaced, and gives it back.
func (c *cluster) lose(how string, m, b *machine, fault, undo func() error) {
	c.t.Helper()
	before := c.balanced(m)
	began := time.Now()
	if err := fault(); err != nil {
		c.t.Fatal(err)
	}
	m.awaitNodes(v1.NodeDown, b.Name)
	down := time.Since(began)
	elsewhere := func(s string) bool { return len(of(m.running(), s))-len(on(of(m.running(), s), b.Name)) == 3 }
	c.await("the task that does not wait runs elsewhere", func() bool { return elsewhere("now") })
	now, patient := time.Since(began), !elsewhere("later")
	c.await("the task that waits for a while runs elsewhere", func() bool { return elsewhere("later") })
	later := time.Since(began)
	if !patient || later-down < 2*time.Second {
		c.t.Errorf("b %s: a task with 3 s of patience was replaced %s after its node was down", how, later-down)
	}
	replaced := m.running()
	if kept := on(items[v1.Task](m, "tasks"), b.Name); len(of(kept, "keep")) != 1 {
		c.t.Errorf("b %s: the task that is kept there is not: %v", how, kept)
	}
	began = time.Now()
	if err := undo(); err != nil {
		c.t.Fatal(err)
	}
	m.awaitNodes(v1.NodeReady, b.Name)
	after := m.settled(9, "m", "a", "b")
	c.same("b "+how+": others", append(on(before, "m"), on(before, "a")...), after)
	c.same("b "+how+": replacements", append(on(replaced, "m"), on(replaced, "a")...), after)
	if own := on(before, b.Name); how != "has no power" {
		c.same("b "+how+": what was kept", of(own, "keep"), after)
	}
	c.once(how, after)
	c.t.Logf("b %s: down after %s, replaced after %s and %s, settled %s after it was back", how, round(down), round(now), round(later), round(time.Since(began)))
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }

// once looks at the machines: each task runs where it should, and nothing else does.
func (c *cluster) once(how string, tasks []v1.Task) {
	c.t.Helper()
	var want []string
	for _, t := range tasks {
		want = append(want, t.Spec.Node+" "+t.Metadata.Name)
	}
	slices.Sort(want)
	var got []string
	c.await("b "+how+": the surplus is stopped", func() bool {
		got = nil
		for _, m := range c.all {
			all, err := m.Processes()
			if err != nil {
				c.t.Fatal(err)
			}
			for _, p := range all {
				if p.Kind == hosts.Task {
					got = append(got, m.Name+" "+p.Task)
				}
			}
		}
		slices.Sort(got)
		return fmt.Sprint(slices.Compact(got)) == fmt.Sprint(want)
	})
}

// removed: of a node that is down for good people say so, and then what waited for it is replaced, too.
func (c *cluster) removed(m, b *machine) {
	before := c.balanced(m)
	if err := b.Kill(); err != nil {
		c.t.Fatal(err)
	}
	m.awaitNodes(v1.NodeDown, b.Name)
	if _, errs, err := m.try("node", "rm", b.Name); err != nil {
		c.t.Fatalf("remove a node that is down: %s", errs)
	}
	after := m.settled(9, "m", "a")
	c.same("b is removed", append(on(before, "m"), on(before, "a")...), after)
	c.once("is removed", after)
}
