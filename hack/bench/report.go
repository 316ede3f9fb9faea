package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// row is one figure.
type row struct {
	Measure string  `json:"measure"`
	Name    string  `json:"name"`
	Value   float64 `json:"value"`
	Unit    string  `json:"unit"`
	Samples int     `json:"samples,omitempty"`
	// Most or Least is the bound that must hold, Goal what we would like. Zero: none. None: the bound is zero.
	Most  float64 `json:"most,omitempty"`
	Least float64 `json:"least,omitempty"`
	Goal  float64 `json:"goal,omitempty"`
	None  bool    `json:"none,omitempty"`
	// Hard bounds do not depend on the machine; breaking one is a failure.
	Hard bool   `json:"hard,omitempty"`
	Note string `json:"note,omitempty"`
}

func (r row) holds() bool {
	return (r.Most == 0 || r.Value <= r.Most) && (r.Least == 0 || r.Value >= r.Least) && (!r.None || r.Value == 0)
}

func (r row) bound() string {
	text := ""
	switch {
	case r.None:
		text = "0"
	case r.Most != 0:
		text = "< " + figure(r.Most)
	case r.Least != 0:
		text = "> " + figure(r.Least)
	}
	if r.Goal != 0 {
		text += " (goal " + figure(r.Goal) + ")"
	}
	return strings.TrimSpace(text)
}

func (r row) verdict() string {
	switch {
	case r.bound() == "":
		return ""
	case !r.holds():
		return "NO"
	case r.Goal != 0 && (r.Least != 0 && r.Value < r.Goal || r.Least == 0 && r.Value > r.Goal):
		return "ok, goal missed"
	}
	return "ok"
}

// noise is what else went on while something was measured.
type noise struct {
	Measure string  `json:"measure"`
	Seconds float64 `json:"seconds"`
	Before  float64 `json:"busyBefore"` // percent of the machine that was busy before it began
	During  float64 `json:"busyDuring"` // the measured processes included
}

type report struct {
	When    time.Time `json:"when"`
	Kernel  string    `json:"kernel"`
	CPUs    int       `json:"cpus"`
	Quick   bool      `json:"quick"`
	Rows    []row     `json:"rows"`
	Noise   []noise   `json:"noise"`
	current string
}

func newReport(quick bool) *report {
	var u unix.Utsname
	_ = unix.Uname(&u)
	return &report{When: time.Now().UTC(), Kernel: unix.ByteSliceToString(u.Release[:]), CPUs: runtime.NumCPU(), Quick: quick}
}

func (r *report) add(rows ...row) {
	for _, x := range rows {
		x.Measure = r.current
		r.Rows = append(r.Rows, x)
		fmt.Fprintf(os.Stderr, "  %s: %s %s %s\n", x.Name, figure(x.Value), x.Unit, x.verdict())
	}
}

// quiet is how much of the machine others may use for it to count as quiet.
const quiet = 15

// begin waits for a quiet machine, but not for ever, and returns what notes how busy it was.
func (r *report) begin(ctx context.Context, name string, quick bool) (end func()) {
	r.current = name
	patience := time.Minute
	if quick {
		patience = 10 * time.Second
	}
	n := noise{Measure: name}
	for began := time.Now(); ; {
		n.Before = busyFor(ctx, time.Second)
		if n.Before < quiet || time.Since(began) > patience || ctx.Err() != nil {
			break
		}
	}
	began, busy := time.Now(), readBusy()
	return func() {
		n.Seconds, n.During = time.Since(began).Seconds(), readBusy().since(busy)
		r.Noise = append(r.Noise, n)
	}
}

func (r *report) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MEASURE\tFIGURE\tVALUE\tBOUND\tHOLDS\tNOTE")
	for _, x := range r.Rows {
		fmt.Fprintf(t, "%s\t%s\t%s %s\t%s\t%s\t%s\n", x.Measure, x.Name, figure(x.Value), x.Unit, x.bound(), x.verdict(), x.Note)
	}
	_ = t.Flush()
	fmt.Fprintf(w, "\n%d CPUs, Linux %s, %s. Busy before and during (all processes, percent of the machine):", r.CPUs, r.Kernel, r.When.Format(time.DateTime))
	for _, n := range r.Noise {
		fmt.Fprintf(w, " %s %.0f %.0f;", n.Measure, n.Before, n.During)
	}
	fmt.Fprintln(w)
}

func (r *report) write(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// broken names the hard bounds that do not hold.
func (r *report) broken() error {
	var errs []error
	for _, x := range r.Rows {
		if x.Hard && !x.holds() {
			errs = append(errs, fmt.Errorf("%s: %s is %s %s, must be %s", x.Measure, x.Name, figure(x.Value), x.Unit, x.bound()))
		}
	}
	return errors.Join(errs...)
}

// figure writes a number with three digits that count, and all before the point.
func figure(v float64) string {
	digits := 0
	for limit := 100.0; v < limit && digits < 3; limit /= 10 {
		digits++
	}
	text := fmt.Sprintf("%.*f", digits, v)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}
