// Command bench measures a real node on this machine: starts, throughput, memory, idle load, sizes. It prints a table and
// writes .build/bench.json. Run it as root from the top folder, after `make build hello`; `make bench` does both.
//
//	-only NAMES   only these measures, with commas: size, cli, list, api, start, replicas, logs, import, idle, loss, failover, scale, sim
//	-quick        fewer rounds and shorter windows
//
// What depends on the machine (times) is held against its bound for the reader only. What does not (ratios within one run,
// bytes, sizes) makes bench fail.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// measure is one subject; it adds rows to the report.
type measure struct {
	name string
	run  func(context.Context, *bench) error
}

var measures = []measure{
	{"size", measureSize}, {"cli", measureCLI}, {"list", measureList}, {"api", measureAPI}, {"start", measureStart}, {"replicas", measureReplicas},
	{"logs", measureLogs}, {"import", measureImport}, {"idle", measureIdle}, {"loss", measureLoss}, {"failover", measureFailover}, {"scale", measureScale},
	{"sim", measureSim},
}

// bench is one run.
type bench struct {
	quick     bool
	warren    string // path of the binary
	warrenctl string
	image     string // path of the archive of the image that is started
	report    *report
}

// rounds is how often something is done.
func (b *bench) rounds(full, quick int) int {
	if b.quick {
		return quick
	}
	return full
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	only := flag.String("only", "", "measure only `NAMES`, with commas between: "+names())
	quick := flag.Bool("quick", false, "fewer rounds and shorter windows")
	out := flag.String("json", ".build/bench.json", "write the results to `FILE`, too")
	warren := flag.String("warren", "bin/warren", "`PATH` of the binary to measure")
	flag.Parse()
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("needs root to run containers")
	}
	path, err := filepath.Abs(*warren)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &bench{quick: *quick, warren: path, warrenctl: filepath.Join(filepath.Dir(path), "warrenctl"), image: ".build/hello.tar", report: newReport(*quick)}
	failed := b.measure(ctx, chosen)
	b.report.print(os.Stdout)
	return errors.Join(failed, b.report.write(*out), b.report.broken())
}

// measure goes on after a measure that failed: the others say something all the same.
func (b *bench) measure(ctx context.Context, chosen []measure) error {
	var errs []error
	for _, m := range chosen {
		fmt.Fprintf(os.Stderr, "measuring %s ...\n", m.name)
		noise := b.report.begin(ctx, m.name, b.quick)
		if err := m.run(ctx, b); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.name, err))
		}
		noise()
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

func names() string {
	var all []string
	for _, m := range measures {
		all = append(all, m.name)
	}
	return strings.Join(all, ", ")
}

func choose(only string) ([]measure, error) {
	if only == "" {
		return measures, nil
	}
	var chosen []measure
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(measures, func(m measure) bool { return m.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-only %s: there are %s", name, names())
		}
		chosen = append(chosen, measures[i])
	}
	return chosen, nil
}
