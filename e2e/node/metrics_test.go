//go:build e2e

package node

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// scrape is what the node tells, one value for each series.
type scrape map[string]float64

func (w *world) scrape() scrape {
	w.t.Helper()
	a := w.api("/metrics")
	if a.code != 200 {
		w.t.Fatalf("/metrics: %d %s", a.code, a.body)
	}
	s := scrape{}
	for line := range strings.Lines(a.body) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if v, err := strconv.ParseFloat(line[at+1:], 64); err == nil && !strings.HasPrefix(line, "#") {
			s[line[:at]] = v
		}
	}
	return s
}

// has tells whether there is a series of a metric.
func (s scrape) has(name string) bool {
	for series := range s {
		if series == name || strings.HasPrefix(series, name+"{") || strings.HasPrefix(series, name+"_bucket{") {
			return true
		}
	}
	return false
}

// The metrics of a node on which everything has happened once: all that the help names are there, and tell what was done.
func TestMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shelf := newShelf(w)
	shelf.push("hello:1", helloImage(t, "pulled", ""))
	dir, pass := vault(t)
	w.start("--backup-dir", dir, "--backup-passphrase-file", pass)
	w.ready()
	w.apply(service("web", fromShelf("hello:1")), "--wait") // before the same layer comes by import
	w.ctl("image", "import", helloTar)
	w.apply(service("busy", image+"args: [-lines, \"-1\"]\nresources: {limits: {cpu: 300m, memory: 64Mi}}") +
		service("bad", image+"args: [-exit, \"3\"]\nrestart: {delay: 100ms, maxDelay: 100ms}") +
		service("fat", image+"args: [-eat, 64Mi]\nresources: {limits: {memory: 16Mi}}"))
	web := w.one("web", "runs", ready)
	w.one("busy", "runs", ready)
	w.visit(web)
	busy, traffic := `{service="busy",task="busy-1-1"}`, `{direction="sent",service="web",task="web-1-1"}`
	first := w.scrape()
	w.await("the metrics move", func() bool {
		s := w.scrape()
		return s["warren_task_cpu_seconds_total"+busy] > first["warren_task_cpu_seconds_total"+busy]+0.2 && s["warren_task_network_bytes_total"+traffic] > 100 &&
			s["warren_task_restarts_total"] >= 2 && s[`warren_task_exits_total{outcome="failed"}`] >= 2 && s[`warren_task_exits_total{outcome="oom_killed"}`] >= 1
	})
	s := w.scrape()
	for series, least := range map[string]float64{
		"warren_task_memory_bytes" + busy: 1 << 20, "warren_task_processes" + busy: 1, `warren_task_starts_total{outcome="started"}`: 5,
		`warren_image_pulls_total{outcome="pulled"}`: 1, "warren_image_pull_bytes_total": 1 << 20, "warren_image_pull_duration_seconds_count": 1,
		`warren_nodes{ready="true"}`: 1, `warren_tasks{phase="Running",ready="true"}`: 2, `warren_store_commits_total{outcome="committed"}`: 5,
		"warren_store_commit_bytes_total": 2000, "warren_node_memory_bytes": 100 << 20, "warren_node_disk_free_bytes": 1, "warren_leader": 1,
		`warren_queue_items{engine="agent",state="later"}`: 0, "etcd_disk_wal_fsync_duration_seconds_count": 5,
	} {
		if v, ok := s[series]; !ok || v < least {
			t.Errorf("%s is %v (%v), want at least %v", series, v, ok, least)
		}
	}
	if limit := s["warren_task_memory_limit_bytes"+busy]; limit != 64<<20 {
		t.Errorf("the limit of busy is %v", limit)
	}
	for _, found := range regexp.MustCompile(`(?m)^  ((?:warren|etcd|process|go)_[a-z0-9_]+)(?:\{[a-z,]+\})?  `).FindAllStringSubmatch(w.ctl("help", "metrics"), -1) {
		if !s.has(found[1]) {
			t.Errorf("the help tells of %s, which is not there", found[1])
		}
	}
	w.ctl("delete", "service/bad", "service/busy", "service/fat")
	w.await("they are gone", func() bool { return len(w.list("tasks")) == 1 })
	w.scrapeForNothing()
}

// scrapeForNothing waits until many scrapes in a row made the node write nothing: what was done before may still be on its way.
func (w *world) scrapeForNothing() {
	w.t.Helper()
	const written = "warren_process_written_bytes_total"
	w.await("scrapes that write nothing", func() bool {
		before := w.scrape()
		for range 20 {
			w.scrape()
		}
		after := w.scrape()
		return after[written] == before[written] && after["etcd_debugging_mvcc_current_revision"] == before["etcd_debugging_mvcc_current_revision"]
	})
	if series := len(w.scrape()); series < 100 {
		w.t.Errorf("only %d series", series)
	}
}
