package jsonpath

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"warren.io/warren/apis/meta"
)

// Text writes a value for people: texts without quotes, lists and maps as JSON.
func Text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Join writes several values.
func Join(values []any, between string) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = Text(v)
	}
	return strings.Join(texts, between)
}

// Compare orders two values: numbers, times, sizes, CPU amounts and durations by what they mean, all else by its text.
func Compare(a, b any) int {
	x, y := Text(a), Text(b)
	if !amount(x) || !amount(y) {
		return strings.Compare(x, y)
	}
	for _, read := range readings {
		m, okA := read(x)
		n, okB := read(y)
		if okA && okB {
			return cmp.Compare(m, n)
		}
	}
	return strings.Compare(x, y)
}

// amount tells whether a text may be one: they all begin with a digit or a sign.
func amount(s string) bool { return s != "" && (s[0] == '-' || s[0] >= '0' && s[0] <= '9') }

// readings are the meanings of a text that have an order, as numbers.
var readings = []func(string) (float64, bool){
	func(s string) (float64, bool) { n, err := strconv.ParseFloat(s, 64); return n, err == nil },
	func(s string) (float64, bool) {
		t, err := time.Parse(time.RFC3339Nano, s)
		return float64(t.UnixMilli()), err == nil
	},
	func(s string) (float64, bool) {
		c, err := meta.ParseCPU(s)
		return float64(c), err == nil
	},
	func(s string) (float64, bool) {
		b, err := meta.ParseBytes(s)
		return float64(b), err == nil
	},
	func(s string) (float64, bool) {
		d, err := meta.ParseDuration(s)
		return float64(d), err == nil
	},
}
