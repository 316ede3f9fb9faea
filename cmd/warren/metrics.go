package main

import (
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/store"
)

// metrics of warren; etcd, Go and the process bring their own, in the default registry. What is counted as it happens is
// here; what is read when somebody asks is in collectors of their own.
type metrics struct {
	registry *prometheus.Registry
	engines  *engines

	reconciles *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
	ops        *prometheus.CounterVec

	commits       *prometheus.CounterVec
	commitBytes   prometheus.Counter
	commitSeconds prometheus.Histogram
	auditLost     prometheus.Counter

	starts       *prometheus.CounterVec
	startSeconds prometheus.Histogram
	restarts     prometheus.Counter
	exits        *prometheus.CounterVec
	pulls        *prometheus.CounterVec
	pullSeconds  prometheus.Histogram
	pullBytes    prometheus.Counter
}

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry(), engines: &engines{}}
	m.registry.MustRegister(m.engines)
	m.reconciles = m.counters("warren_reconciles_total", "Reconciles by controller and outcome: written, unchanged, conflict, failed.", "controller", "outcome")
	m.ops = m.counters("warren_commit_operations_total", "Objects written by controllers, events among them.", "controller")
	m.seconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "warren_reconcile_duration_seconds",
		Help: "Time of one reconcile with its commit.", Buckets: prometheus.ExponentialBuckets(0.0001, 4, 8)}, []string{"controller"})
	m.registry.MustRegister(m.seconds)

	m.commits = m.counters("warren_store_commits_total", "Commits of anybody that were to write something: committed, conflict, fenced, unknown, failed.", "outcome")
	m.commitBytes = m.counter("warren_store_commit_bytes_total", "Bytes of the objects that were committed.")
	m.commitSeconds = m.histogram("warren_store_commit_duration_seconds", "Time of one commit, with the disk.", 0.0005, 2, 12)
	m.auditLost = m.counter("warren_audit_lost_total", "Changes by people that could not be written to the audit log.")

	m.starts = m.counters("warren_task_starts_total", "Attempts to start a task's process: started, failed, rejected.", "outcome")
	m.startSeconds = m.histogram("warren_task_start_duration_seconds", "Time from an image that is here to a process that runs.", 0.05, 2, 10)
	m.restarts = m.counter("warren_task_restarts_total", "Starts in place, after the first of a task.")
	m.exits = m.counters("warren_task_exits_total", "Processes that ended of themselves: completed, failed, oom_killed, lost.", "outcome")
	m.pulls = m.counters("warren_image_pulls_total", "Pulls from registries: pulled, failed, given_up.", "outcome")
	m.pullSeconds = m.histogram("warren_image_pull_duration_seconds", "Time of a pull that succeeded.", 0.25, 2, 13)
	m.pullBytes = m.counter("warren_image_pull_bytes_total", "Bytes that came from registries.")
	return m
}

// counters makes a counter with labels, registered.
func (m *metrics) counters(name, about string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: about}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *metrics) counter(name, about string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: about})
	m.registry.MustRegister(c)
	return c
}

// histogram has count buckets, each factor times the one before.
func (m *metrics) histogram(name, about string, first, factor float64, count int) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: about, Buckets: prometheus.ExponentialBuckets(first, factor, count)})
	m.registry.MustRegister(h)
	return h
}

// reconciled counts a reconcile of an engine.
func (m *metrics) reconciled(o control.Outcome) {
	outcome := "unchanged"
	switch {
	case errors.Is(o.Err, store.ErrConflict):
		outcome = "conflict"
	case o.Err != nil:
		outcome = "failed"
	case o.Ops > 0:
		outcome = "written"
		m.ops.WithLabelValues(o.Controller).Add(float64(o.Ops))
	}
	m.reconciles.WithLabelValues(o.Controller, outcome).Inc()
	m.seconds.WithLabelValues(o.Controller).Observe(o.Took.Seconds())
}

// committed counts a commit of anybody: controllers, people, the node itself.
func (m *metrics) committed(o store.Outcome) {
	outcome := "failed"
	switch {
	case o.Err == nil:
		outcome = "committed"
		m.commitBytes.Add(float64(o.Bytes))
		m.commitSeconds.Observe(o.Took.Seconds())
	case errors.Is(o.Err, store.ErrConflict):
		outcome = "conflict"
	case errors.Is(o.Err, store.ErrFenced):
		outcome = "fenced"
	case errors.Is(o.Err, store.ErrUnknown):
		outcome = "unknown"
	}
	m.commits.WithLabelValues(outcome).Inc()
}

// happened counts what the host does and sees.
func (m *metrics) happened(e host.Happening) {
	switch e.What {
	case host.TaskStart:
		m.starts.WithLabelValues(e.Outcome).Inc()
		if e.Outcome != "started" {
			return
		}
		m.startSeconds.Observe(e.Took.Seconds())
		if e.Again {
			m.restarts.Inc()
		}
	case host.TaskExit:
		m.exits.WithLabelValues(e.Outcome).Inc()
	case host.ImagePull:
		m.pulls.WithLabelValues(e.Outcome).Inc()
		if e.Outcome == "pulled" {
			m.pullSeconds.Observe(e.Took.Seconds())
		}
	case host.ImageBytes:
		m.pullBytes.Add(float64(e.Bytes))
	}
}

func (m *metrics) gatherer() prometheus.Gatherer {
	return prometheus.Gatherers{prometheus.DefaultGatherer, m.registry}
}

// scrapes is how many may ask at once: each reads the counters of all tasks.
const scrapes = 4

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.gatherer(), promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: scrapes})
}
