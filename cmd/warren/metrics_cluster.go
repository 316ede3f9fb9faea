package main

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
)

func desc(name, about string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, about, labels, nil)
}

func gauge(d *prometheus.Desc, v float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func total(d *prometheus.Desc, v float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

var (
	queueItems  = desc("warren_queue_items", "Work items of an engine that are due, and that wait for their time (later).", "engine", "state")
	queueOldest = desc("warren_queue_oldest_seconds", "For how long the oldest item that is due has waited.", "engine")
	nodesDesc   = desc("warren_nodes", "Nodes of the cluster; told by the leader.", "ready")
	tasksDesc   = desc("warren_tasks", "Tasks of the cluster; told by the leader.", "phase", "ready")
	servedDesc  = desc("warren_services", "Services of the cluster; told by the leader.", "available")
)

// engines collects what waits for the engines that run, and counts what the leader's sees: in memory, at a scrape.
type engines struct {
	mu      sync.Mutex
	running map[string]*control.Engine
}

// add takes an engine in until the function that it returns is called.
func (e *engines) add(engine *control.Engine) (remove func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running == nil {
		e.running = map[string]*control.Engine{}
	}
	e.running[engine.Name] = engine
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.running[engine.Name] == engine {
			delete(e.running, engine.Name)
		}
	}
}

// Describe implements prometheus.Collector.
func (e *engines) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{queueItems, queueOldest, nodesDesc, tasksDesc, servedDesc} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (e *engines) Collect(out chan<- prometheus.Metric) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, name := range meta.SortedKeys(e.running) {
		b := e.running[name].Backlog(time.Now())
		out <- gauge(queueItems, float64(b.Due), name, "due")
		out <- gauge(queueItems, float64(b.Later), name, "later")
		out <- gauge(queueOldest, b.Oldest.Seconds(), name)
	}
	if leader := e.running["leader"]; leader != nil && leader.Seen() != nil {
		collectCluster(leader.Seen(), out)
	}
}

// collectCluster counts all there is. What people watch for is told as 0, too, so that its absence is an answer.
func collectCluster(s *control.Snapshot, out chan<- prometheus.Metric) {
	nodes, services := map[bool]int{}, map[bool]int{}
	type state struct {
		phase v1.TaskPhase
		ready bool
	}
	tasks := map[state]int{{v1.TaskRunning, true}: 0, {v1.TaskRunning, false}: 0, {v1.TaskPending, false}: 0, {v1.TaskFailed, false}: 0}
	s.All(func(o meta.Object) {
		switch o := o.(type) {
		case *v1.Node:
			nodes[o.Status.Conditions.Find(v1.ConditionReady).Status == meta.True]++
		case *v1.Service:
			services[o.Status.Conditions.Find(v1.ConditionAvailable).Status == meta.True]++
		case *v1.Task:
			if o.Status.Phase == "" {
				tasks[state{v1.TaskPending, false}]++
			} else {
				tasks[state{o.Status.Phase, o.Status.Ready}]++
			}
		}
	})
	for _, yes := range []bool{true, false} {
		out <- gauge(nodesDesc, float64(nodes[yes]), strconv.FormatBool(yes))
		out <- gauge(servedDesc, float64(services[yes]), strconv.FormatBool(yes))
	}
	for t, n := range tasks {
		out <- gauge(tasksDesc, float64(n), string(t.phase), strconv.FormatBool(t.ready))
	}
}
