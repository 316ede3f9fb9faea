package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"warren.io/warren/cmd/warrenctl"
)

var (
	describedName = regexp.MustCompile(`fqName: "([a-zA-Z0-9_]+)"`)
	metricInText  = regexp.MustCompile(`(?m)^  ((?:warren|etcd|process|go)_[a-z0-9_]+)(?:\{([a-z,]+)\})?  `)
	labelsOf      = regexp.MustCompile(`variableLabels: \{([a-z,]*)\}`)
)

// `warrenctl help metrics` names every metric of warren with its labels, and none that this process does not have.
func TestMetricsAreInTheHelp(t *testing.T) {
	there := described(t)
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

// described are the names of all metrics that /metrics serves, with their labels.
func described(t *testing.T) map[string]string {
	t.Helper()
	m := newMetrics()
	m.registry.MustRegister(&machine{}, &saved{})
	registry, ok := prometheus.DefaultRegisterer.(*prometheus.Registry)
	if !ok {
		t.Fatal("the default registry is another one")
	}
	all := make(chan *prometheus.Desc, 10_000)
	registry.Describe(all)
	m.registry.Describe(all)
	close(all)
	there := map[string]string{}
	for d := range all {
		labels := ""
		if l := labelsOf.FindStringSubmatch(d.String()); l != nil {
			labels = l[1]
		}
		there[describedName.FindStringSubmatch(d.String())[1]] = labels
	}
	return there
}
