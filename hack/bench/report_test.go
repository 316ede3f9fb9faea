package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestFigure(t *testing.T) {
	for in, want := range map[float64]string{0: "0", 0.0514: "0.051", 1.5: "1.5", 2: "2", 38.97: "39", 39.07: "39.1", 882.4: "882", 120000: "120000"} {
		if got := figure(in); got != want {
			t.Errorf("%v: %s, want %s", in, got, want)
		}
	}
}

func TestVerdict(t *testing.T) {
	for want, r := range map[string]row{
		"":                {Value: 7},
		"ok":              {Value: 1.4, Most: 2},
		"NO":              {Value: 400, Least: 500},
		"ok, goal missed": {Value: 38, Most: 40, Goal: 35},
	} {
		if got := r.verdict(); got != want {
			t.Errorf("%+v: %q, want %q", r, got, want)
		}
	}
	if (row{Value: 1, None: true}).holds() || !(row{None: true}).holds() {
		t.Error("a bound of nothing")
	}
}

func TestOnlyHardBoundsFail(t *testing.T) {
	r := &report{current: "x"}
	r.Rows = []row{{Measure: "x", Name: "slow", Value: 9, Most: 1}}
	if err := r.broken(); err != nil {
		t.Error(err)
	}
	r.Rows = append(r.Rows, row{Measure: "x", Name: "bytes", Value: 9, None: true, Hard: true, Unit: "bytes"})
	if err := r.broken(); err == nil || err.Error() != "x: bytes is 9 bytes, must be 0" {
		t.Error(err)
	}
	var out bytes.Buffer
	if r.print(&out); strings.Count(out.String(), "NO\n")+strings.Count(out.String(), "NO ") != 2 {
		t.Error(out.String())
	}
}

func TestQuantiles(t *testing.T) {
	s := samples{5, 1, 4, 2, 3}
	if s.median() != 3 || s.quantile(0.95) != 5 || (samples{}).median() != 0 || s[0] != 5*time.Nanosecond {
		t.Error(s.median(), s.quantile(0.95), s)
	}
}

func TestFlood(t *testing.T) {
	f := &flood{last: map[string]int{}}
	for _, line := range []string{"a-1 | line 1 xx", "a-1 | line 2 xx", "a-1  | line 3 xx", "ab-2 | line 1 xx", "ab-2 | line 3 xx", "a-1  | hello: listening on :8080"} {
		f.take([]byte(line), 3)
	}
	if f.inOrder != 4 || f.ended != 2 {
		t.Errorf("%+v", f)
	}
}

func TestChoose(t *testing.T) {
	if m, err := choose("api,start"); err != nil || len(m) != 2 || m[0].name != "api" {
		t.Error(m, err)
	}
	if _, err := choose("nothing"); err == nil {
		t.Error("accepted")
	}
}
