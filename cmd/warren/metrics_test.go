package main

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"warren.io/warren/cmd/warrenctl"
	"warren.io/warren/runtime/control"
)

var (
	describedName = regexp.MustCompile(`fqName: "([a-zA-Z0-9_]+)"`)
	metricInText  = regexp.MustCompile(`(?m)^  ((?:warren|etcd|process|go)_[a-z0-9_]+)(?:\{([a-z,]+)\})?  `)
	labelsOf      = regexp.MustCompile(`variableLabels: \{([a-z,]*)\}`)
)

// `warrenctl help metrics` names every metric of warren with its labels, and none that this process does not have.
func TestMetricsAreInTheHelp(t *testing.T) {
	m := newMetrics()
	m.reconciled(control.Outcome{Controller: "x", Ops: 1, Took: time.Second})
	m.reconciled(control.Outcome{Controller: "x", Err: errors.New("no")})
	there := map[string]string{}
	for _, text := range descriptions(t) {
		labels := ""
		if l := labelsOf.FindStringSubmatch(text); l != nil {
			labels = l[1]
		}
		there[describedName.FindStringSubmatch(text)[1]] = labels
	}
	text, ok := warrenctl.Topic("metrics")
	if !ok {
		t.Fatal("there is no help on metrics")
	}
	var told []string
	for _, found := range metricInText.FindAllStringSubmatch(text, -1) {
		name, labels := found[1], found[2]
		told = append(told, name)
		if is, known := there[name]; !known || is != labels {
			t.Errorf("the help tells of %s{%s}; there is {%s}, %v", name, labels, is, known)
		}
	}
	for name := range there {
		if strings.HasPrefix(name, "warren_") && !slices.Contains(told, name) {
			t.Errorf("the help does not tell of %s", name)
		}
	}
}

// descriptions are those of all metrics that /metrics serves.
func descriptions(t *testing.T) []string {
	t.Helper()
	all := make(chan *prometheus.Desc, 10_000)
	registry, ok := prometheus.DefaultRegisterer.(*prometheus.Registry)
	if !ok {
		t.Fatal("the default registry is another one")
	}
	registry.Describe(all)
	close(all)
	var out []string
	for d := range all {
		out = append(out, d.String())
	}
	return out
}
