package main

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboard is what a test looks at of Grafana's.
type dashboard struct {
	Panels []struct {
		ID      int
		Type    string
		Title   string
		Targets []struct{ Expr, LegendFormat string }
		GridPos struct{ X, Y, W, H int }
	}
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	data, err := os.ReadFile("../../manifests/grafana/warren.json")
	if err == nil {
		err = json.Unmarshal(data, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Every metric and every label in the dashboard is one that a node serves, and hardly one of warren's own is missing there.
func TestDashboardUsesMetricsThatAreThere(t *testing.T) {
	d, there := readDashboard(t), described(t)
	var used []string
	for _, p := range d.Panels {
		if p.Type != "row" && (len(p.Targets) == 0 || p.Title == "") {
			t.Errorf("panel %d %q shows nothing", p.ID, p.Title)
		}
		for _, target := range p.Targets {
			used = append(used, checkExpression(t, p.Title, target.Expr, there)...)
			for _, label := range regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(target.LegendFormat, -1) {
				if !knownLabel(label[1], parse(target.Expr).metrics, there) {
					t.Errorf("panel %q: no series of %s has the label %s", p.Title, target.Expr, label[1])
				}
			}
		}
	}
	for _, v := range d.Templating.List {
		if m := regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`).FindStringSubmatch(v.Definition); v.Type == "query" && (m == nil || !knownLabel(m[2], m[1:2], there)) {
			t.Errorf("variable %s: %q is not there", v.Name, v.Definition)
		}
	}
	for name := range there {
		if strings.HasPrefix(name, "warren_") && !slices.Contains(used, name) {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}

func TestDashboardIsLaidOut(t *testing.T) {
	d := readDashboard(t)
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("the id %d is there twice", p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("panel %q lies over %q or outside", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

func checkExpression(t *testing.T, panel, text string, there map[string]string) (metrics []string) {
	t.Helper()
	e := parse(text)
	if len(e.metrics) == 0 {
		t.Errorf("panel %q: %s has no metric", panel, text)
	}
	if strings.Count(text, "(") != strings.Count(text, ")") || strings.Count(text, "{") != strings.Count(text, "}") {
		t.Errorf("panel %q: %s: brackets are not closed", panel, text)
	}
	for _, m := range regexp.MustCompile(`(\w+)(?:{[^}]*})?\[`).FindAllStringSubmatch(text, -1) {
		if !slices.ContainsFunc([]string{"_total", "_bucket", "_sum", "_count"}, func(end string) bool { return strings.HasSuffix(m[1], end) }) {
			t.Errorf("panel %q: %s: %s is no counter, it has no rate", panel, text, m[1])
		}
	}
	for _, f := range e.functions {
		if !slices.Contains(functions, f) {
			t.Errorf("panel %q: %s: there is no function %s", panel, text, f)
		}
	}
	for i, name := range e.metrics {
		if e.metrics[i] = base(name, there); e.metrics[i] == "" {
			t.Errorf("panel %q: there is no metric %s", panel, name)
		}
	}
	for _, label := range e.labels {
		if !knownLabel(label, e.metrics, there) {
			t.Errorf("panel %q: %s: none of its metrics has the label %s", panel, text, label)
		}
	}
	return e.metrics
}

// base is the registered name behind the name of a series: histograms have three.
func base(name string, there map[string]string) string {
	for _, end := range []string{"", "_bucket", "_sum", "_count"} {
		if n, cut := strings.CutSuffix(name, end); cut {
			if _, ok := there[n]; ok {
				return n
			}
		}
	}
	return ""
}

func knownLabel(label string, metrics []string, there map[string]string) bool {
	if slices.Contains([]string{"instance", "job", "le"}, label) { // Prometheus and its histograms add these
		return true
	}
	return slices.ContainsFunc(metrics, func(m string) bool {
		return slices.Contains(strings.Split(there[base(m, there)], ","), label)
	})
}

var functions = []string{"sum", "max", "count", "topk", "rate", "increase", "histogram_quantile"}

// expression is what stands in one of PromQL.
type expression struct{ metrics, functions, labels []string }

var promWords = regexp.MustCompile(`"[^"]*"|\[[^\]]*\]|[a-zA-Z_][a-zA-Z0-9_]*|[0-9.]+|[^\s]`)

// parse tells names of metrics from functions and labels, as far as a dashboard needs.
func parse(text string) (e expression) {
	words := promWords.FindAllString(text, -1)
	after := func(i int) string {
		if i+1 < len(words) {
			return words[i+1]
		}
		return ""
	}
	inLabels := ""
	for i, w := range words {
		switch {
		case inLabels != "":
			if isName(w) {
				e.labels = append(e.labels, w)
			}
			if w == inLabels {
				inLabels = ""
			}
		case w == "{":
			inLabels = "}"
		case w == "by" || w == "without" || w == "on" || w == "ignoring":
			inLabels = ")"
		case isName(w) && (after(i) == "(" || after(i) == "by" || after(i) == "without"):
			e.functions = append(e.functions, w)
		case isName(w):
			e.metrics = append(e.metrics, w)
		}
	}
	return e
}

func isName(w string) bool { return regexp.MustCompile(`^[a-zA-Z_]\w*$`).MatchString(w) }

func TestParseOfExpressions(t *testing.T) {
	e := parse(`topk(10, sum by (task, le) (rate(a_bucket{x=~"y|z",q="by"}[5m]))) / on (node) b > 0.5`)
	for _, want := range []struct{ got, want []string }{
		{e.metrics, []string{"a_bucket", "b"}}, {e.functions, []string{"topk", "sum", "rate"}}, {e.labels, []string{"task", "le", "x", "q", "node"}},
	} {
		if !slices.Equal(want.got, want.want) {
			t.Errorf("got %q, want %q", want.got, want.want)
		}
	}
}
