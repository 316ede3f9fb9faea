package main

import (
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/store"
)

// metrics of the engines; etcd, Go and the process bring their own.
type metrics struct {
	reconciles *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
	ops        *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		reconciles: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "warren_reconciles_total",
			Help: "Reconciles by controller and outcome: written, unchanged, conflict, failed."}, []string{"controller", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "warren_reconcile_duration_seconds",
			Help: "Time of one reconcile with its commit.", Buckets: prometheus.ExponentialBuckets(0.0001, 4, 8)}, []string{"controller"}),
		ops: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "warren_commit_operations_total",
			Help: "Objects written by controllers, events among them."}, []string{"controller"}),
	}
	prometheus.MustRegister(m.reconciles, m.seconds, m.ops)
	return m
}

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

func (m *metrics) handler() http.Handler { return promhttp.Handler() }
