package meta

import (
	"fmt"
	"regexp"
	"sort"
)

// Limits of names and labels.
const (
	MaxName       = 63
	MaxLabelKey   = 253
	MaxLabelValue = 63
	MaxLabels     = 64
)

var (
	nameForm  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)
	labelKey  = regexp.MustCompile(`^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`)
	labelForm = regexp.MustCompile(`^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$`)
)

// CheckName returns why a string cannot be a resource's name, or "".
func CheckName(s string) string {
	switch {
	case s == "":
		return "is required"
	case len(s) > MaxName:
		return fmt.Sprintf("is %d characters long; at most %d are allowed", len(s), MaxName)
	case !nameForm.MatchString(s):
		return fmt.Sprintf("%q is no name; use lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit", s)
	}
	return ""
}

func (m *Metadata) validate(p *Problems) {
	if why := CheckName(m.Name); why != "" {
		p.Add("metadata.name", "%s", why)
	}
	CheckLabels(p, "metadata.labels", m.Labels)
	for _, k := range SortedKeys(m.Annotations) {
		checkKey(p, "metadata.annotations."+k, k)
	}
}

// checkKey adds a problem if k cannot be the key of a label or annotation.
func checkKey(p *Problems, path, k string) {
	if len(k) > MaxLabelKey || !labelKey.MatchString(k) {
		p.Add(path, "is no key; use letters, digits, '-', '_', '.', with an optional prefix like example.org/")
	}
}

// CheckLabels adds a problem for each key or value that is out of form.
func CheckLabels(p *Problems, path string, labels map[string]string) {
	if len(labels) > MaxLabels {
		p.Add(path, "has %d entries; at most %d are allowed", len(labels), MaxLabels)
	}
	for _, k := range SortedKeys(labels) {
		if len(k) > MaxLabelKey || !labelKey.MatchString(k) {
			p.Add(path+"."+k, "is no label key; use letters, digits, '-', '_', '.', with an optional prefix like example.org/")
		}
		if v := labels[k]; len(v) > MaxLabelValue || !labelForm.MatchString(v) {
			p.Add(path+"."+k, "%q is no label value; use up to %d letters, digits, '-', '_', '.'", v, MaxLabelValue)
		}
	}
}

// SortedKeys returns the keys of a map in order: no map iteration may reach an effect.
func SortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
