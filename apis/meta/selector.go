package meta

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Selector is a list of demands on labels, all of which must hold.
type Selector []demand

// demand: the label is there (or not, with not) and, unless values is nil, has one of these values (or none of them).
type demand struct {
	key    string
	values []string
	not    bool
}

// maxSelector bounds the length of a selector in bytes.
const maxSelector = 4096

var (
	selectorKey   = `([-A-Za-z0-9_./]+)`
	selectorValue = `([-A-Za-z0-9_.]*)`
	selectorForms = []*regexp.Regexp{
		regexp.MustCompile(`^(!?)\s*` + selectorKey + `$`),
		regexp.MustCompile(`^` + selectorKey + `\s*(=|==|!=)\s*` + selectorValue + `$`),
		regexp.MustCompile(`^` + selectorKey + `\s+(in|notin)\s*\(([-A-Za-z0-9_.,\s]*)\)$`),
	}
)

// ParseSelector reads app=web,tier!=db,env in (a,b),zone notin (c),present,!absent. Like in Kubernetes, != and notin hold
// also for objects without the label.
func ParseSelector(text string) (Selector, error) {
	if len(text) > maxSelector {
		return nil, fmt.Errorf("label selector: has %d characters; at most %d are allowed", len(text), maxSelector)
	}
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var out Selector
	for _, part := range splitOutside(text) {
		d, ok := parseDemand(strings.TrimSpace(part))
		if !ok {
			return nil, fmt.Errorf("label selector: %q is not understood; write key=value, key!=value, key in (a,b), key notin (a,b), key or !key, joined by commas", part)
		}
		out = append(out, d)
	}
	return out, nil
}

func parseDemand(s string) (demand, bool) {
	if m := selectorForms[0].FindStringSubmatch(s); m != nil {
		return demand{key: m[2], not: m[1] == "!"}, true
	}
	if m := selectorForms[1].FindStringSubmatch(s); m != nil {
		return demand{key: m[1], not: m[2] == "!=", values: []string{m[3]}}, true
	}
	if m := selectorForms[2].FindStringSubmatch(s); m != nil {
		d := demand{key: m[1], not: m[2] == "notin", values: []string{}}
		for v := range strings.SplitSeq(m[3], ",") {
			d.values = append(d.values, strings.TrimSpace(v))
		}
		return d, true
	}
	return demand{}, false
}

// splitOutside cuts at commas that are not in parentheses.
func splitOutside(s string) []string {
	var out []string
	depth, from := 0, 0
	for i, c := range s {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			out, from = append(out, s[from:i]), i+1
		}
	}
	return append(out, s[from:])
}

// Matches tells whether labels are as all demands say.
func (s Selector) Matches(labels map[string]string) bool {
	for _, d := range s {
		if d.holds(labels) == d.not {
			return false
		}
	}
	return true
}

func (d demand) holds(labels map[string]string) bool {
	v, ok := labels[d.key]
	return ok && (d.values == nil || slices.Contains(d.values, v))
}
