package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/store"
)

func TestWhatIsCounted(t *testing.T) {
	m := newMetrics()
	failure := errors.New("no")
	m.reconciled(control.Outcome{Controller: "x", Ops: 3, Took: time.Second})
	m.reconciled(control.Outcome{Controller: "x"})
	m.reconciled(control.Outcome{Controller: "x", Err: &store.ConflictError{}})
	m.reconciled(control.Outcome{Controller: "x", Err: failure})
	m.committed(store.Outcome{Ops: 2, Bytes: 700, Took: time.Millisecond})
	m.committed(store.Outcome{Ops: 1, Bytes: 50, Took: time.Millisecond, Err: &store.ConflictError{}})
	m.committed(store.Outcome{Err: fmt.Errorf("commit: %w", store.ErrFenced)})
	m.committed(store.Outcome{Err: store.ErrUnknown})
	m.committed(store.Outcome{Err: store.ErrNoSpace})
	m.happened(host.Happening{What: host.TaskStart, Outcome: "started", Took: time.Second})
	m.happened(host.Happening{What: host.TaskStart, Outcome: "started", Again: true, Took: time.Second})
	m.happened(host.Happening{What: host.TaskStart, Outcome: "rejected", Again: true})
	m.happened(host.Happening{What: host.TaskExit, Outcome: "oom_killed"})
	m.happened(host.Happening{What: host.ImagePull, Outcome: "pulled", Took: time.Minute})
	m.happened(host.Happening{What: host.ImagePull, Outcome: "failed", Took: time.Minute})
	m.happened(host.Happening{What: host.ImageBytes, Bytes: 1000})
	m.happened(host.Happening{What: host.ImageBytes, Bytes: 24})
	contain(t, gathered(t, m.registry),
		`warren_reconciles_total{controller="x",outcome="written"} 1`, `warren_reconciles_total{controller="x",outcome="unchanged"} 1`,
		`warren_reconciles_total{controller="x",outcome="conflict"} 1`, `warren_reconciles_total{controller="x",outcome="failed"} 1`,
		`warren_commit_operations_total{controller="x"} 3`, `warren_reconcile_duration_seconds_count{controller="x"} 4`,
		`warren_store_commits_total{outcome="committed"} 1`, `warren_store_commits_total{outcome="conflict"} 1`,
		`warren_store_commits_total{outcome="fenced"} 1`, `warren_store_commits_total{outcome="unknown"} 1`,
		`warren_store_commits_total{outcome="failed"} 1`, `warren_store_commit_bytes_total 700`, `warren_store_commit_duration_seconds_count 1`,
		`warren_task_starts_total{outcome="started"} 2`, `warren_task_starts_total{outcome="rejected"} 1`,
		`warren_task_start_duration_seconds_count 2`, `warren_task_restarts_total 1`, `warren_task_exits_total{outcome="oom_killed"} 1`,
		`warren_image_pulls_total{outcome="pulled"} 1`, `warren_image_pulls_total{outcome="failed"} 1`,
		`warren_image_pull_duration_seconds_count 1`, `warren_image_pull_bytes_total 1024`)
}

// meter has one task without a limit, one with, and one that was just taken over.
type meter struct{ err error }

func (m meter) Usage(context.Context) (host.Usage, error) {
	c := host.Counters{CPU: 1500 * time.Millisecond, Memory: 10, Received: 1, Sent: 2, Read: 3, Wrote: 4, Pids: 5}
	limited := c
	limited.MemoryLimit = 20
	return host.Usage{Node: "n1", Cores: 4, Total: limited, Tasks: []host.TaskUsage{
		{Name: "web-1-1", Service: "web", Counters: c}, {Name: "api-1-1", Service: "api", Counters: limited}, {Name: "x-1-1", Counters: c},
	}}, m.err
}

func TestWhatIsRead(t *testing.T) {
	r := prometheus.NewRegistry()
	r.MustRegister(&machine{meter: meter{}, leading: func() bool { return true }, node: "n1", dataDir: t.TempDir()})
	text := gathered(t, r)
	contain(t, text, `warren_info{node="n1",version="unknown"} 1`, `warren_leader 1`, `warren_node_cpu_cores 4`, `warren_node_cpu_seconds_total 1.5`,
		`warren_node_memory_bytes 20`, `warren_node_memory_used_bytes 10`, `warren_node_network_bytes_total{direction="sent"} 2`,
		`warren_node_disk_io_bytes_total{direction="written"} 4`, `warren_node_disk_free_bytes `, `warren_node_disk_size_bytes `,
		`warren_process_written_bytes_total `,
		`warren_task_cpu_seconds_total{service="web",task="web-1-1"} 1.5`, `warren_task_memory_bytes{service="web",task="web-1-1"} 10`,
		`warren_task_memory_limit_bytes{service="api",task="api-1-1"} 20`, `warren_task_processes{service="web",task="web-1-1"} 5`,
		`warren_task_network_bytes_total{direction="received",service="web",task="web-1-1"} 1`,
		`warren_task_disk_io_bytes_total{direction="read",service="web",task="web-1-1"} 3`)
	for _, not := range []string{`limit_bytes{service="web"`, `x-1-1`} {
		if strings.Contains(text, not) {
			t.Errorf("%s is told:\n%s", not, text)
		}
	}
}

// A node whose containers are not up yet tells the rest.
func TestScrapeBeforeContainers(t *testing.T) {
	r := prometheus.NewRegistry()
	r.MustRegister(&machine{meter: meter{store.ErrUnavailable}, leading: func() bool { return false }, dataDir: "/nonexistent"})
	text := gathered(t, r)
	contain(t, text, `warren_leader 0`)
	if strings.Contains(text, "warren_task_") || strings.Contains(text, "warren_node_") {
		t.Errorf("it tells what it cannot know:\n%s", text)
	}
}

func TestWhatTheLeaderSees(t *testing.T) {
	m := newMetrics()
	engine := &control.Engine{Name: "leader", Kinds: v1.Kinds}
	remove := m.engines.add(engine)
	if text := gathered(t, m.registry); strings.Contains(text, "warren_tasks") {
		t.Errorf("nothing was seen yet:\n%s", text)
	}
	task := func(name string, phase v1.TaskPhase, ready bool) *v1.Task {
		o := meta.New[v1.Task](name)
		o.Status.Phase, o.Status.Ready = phase, ready
		return o
	}
	node := meta.New[v1.Node]("n1")
	node.Status.Conditions = meta.Conditions{{Type: v1.ConditionReady, Status: meta.True}}
	engine.Load([]meta.Object{node, task("a", v1.TaskRunning, true), task("b", v1.TaskRunning, true), task("c", v1.TaskRunning, false),
		task("d", "", false), meta.New[v1.Service]("s")}, 5)
	contain(t, gathered(t, m.registry), `warren_queue_items{engine="leader",state="due"} 0`, `warren_queue_items{engine="leader",state="later"} 0`,
		`warren_queue_oldest_seconds{engine="leader"} 0`, `warren_nodes{ready="true"} 1`, `warren_nodes{ready="false"} 0`,
		`warren_services{available="false"} 1`, `warren_tasks{phase="Running",ready="true"} 2`, `warren_tasks{phase="Running",ready="false"} 1`,
		`warren_tasks{phase="Pending",ready="false"} 1`, `warren_tasks{phase="Failed",ready="false"} 0`)
	remove()
	if text := gathered(t, m.registry); strings.Contains(text, "warren_queue") {
		t.Errorf("an engine that ended is told of:\n%s", text)
	}
}

// Names end as Prometheus wants them to.
func TestNamesOfMetrics(t *testing.T) {
	m := newMetrics()
	m.registry.MustRegister(&machine{meter: meter{}, leading: func() bool { return true }, dataDir: t.TempDir()})
	m.engines.add(&control.Engine{Name: "leader"})
	all, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(all).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

func gathered(t *testing.T, g prometheus.Gatherer) string {
	t.Helper()
	m := &metrics{registry: prometheus.NewRegistry()}
	if r, ok := g.(*prometheus.Registry); ok {
		m.registry = r
	}
	w := httptest.NewRecorder()
	m.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func contain(t *testing.T, text string, all ...string) {
	t.Helper()
	for _, line := range all {
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("%s is missing in\n%s", line, only(text, "warren_"))
		}
	}
}

// only the lines that begin so.
func only(text, prefix string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) {
			out.WriteString(line)
		}
	}
	return out.String()
}
