package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// measureSize weighs the binary, and what a download of it would be.
func measureSize(ctx context.Context, b *bench) error {
	info, err := os.Stat(b.warren)
	if err != nil {
		return fmt.Errorf("%w; try: make build", err)
	}
	b.report.add(row{Name: "stripped binary", Value: float64(info.Size()) / mib, Unit: "MiB", Most: 40, Goal: 35, Hard: true,
		Note: "etcd, containerd, shim and runc inside"})
	if b.quick {
		return nil
	}
	packed := &counter{}
	cmd := exec.CommandContext(ctx, "nice", "xz", "-9e", "-T1", "-c", b.warren)
	cmd.Stdout = packed
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("xz: %w", err)
	}
	b.report.add(row{Name: "the same by xz -9e", Value: float64(packed.n) / mib, Unit: "MiB"})
	return nil
}

type counter struct{ n int64 }

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

// measureCLI times whole runs of warrenctl.
func measureCLI(ctx context.Context, b *bench) error {
	return b.with(ctx, func(nodes ...*node) error {
		if err := nodes[0].create(ctx, service("web", 0)); err != nil {
			return err
		}
		for _, args := range [][]string{{"help"}, {"version"}, {"get", "services"}} {
			took, err := repeat(b.rounds(30, 15), func(int) error {
				cmd := exec.CommandContext(ctx, b.warrenctl, args...)
				cmd.Env = nodes[0].env()
				_, err := output(cmd)
				return err
			})
			if err != nil {
				return err
			}
			b.report.add(row{Name: "warrenctl " + strings.Join(args, " "), Value: milliseconds(took.median()), Unit: "ms", Samples: len(took), Most: 30,
				Note: fmt.Sprintf("p95 %.0f ms", milliseconds(took.quantile(0.95)))})
		}
		return nil
	}, "cli")
}

// measureSim runs the large simulation: 100 nodes with 10,000 tasks start, ten are cut for a minute, heal.
func measureSim(ctx context.Context, b *bench) error {
	if b.quick {
		return nil
	}
	if out, err := output(exec.CommandContext(ctx, "go", "test", "-count=1", "-run", "^$", "./runtime/sim")); err != nil {
		return fmt.Errorf("build: %w: %s", err, out)
	}
	took, err := timed(func() error {
		_, err := output(exec.CommandContext(ctx, "go", "test", "-count=1", "-timeout", "5m", "-run", "^TestLarge$", "./runtime/sim"))
		return err
	})
	if err != nil {
		return err
	}
	b.report.add(row{Name: "100 nodes, 10,000 tasks, cut and healed", Value: took.Round(time.Millisecond).Seconds(), Unit: "s", Samples: 1, Most: 15})
	return nil
}
