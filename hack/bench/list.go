package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	v1 "warren.io/warren/apis/v1"
)

const listed = 10_000

// measureList times warrenctl over a store of many tasks. They are too large for the node, so that they need no containers.
func measureList(ctx context.Context, b *bench) error {
	return b.with(ctx, func(nodes ...*node) error {
		n := nodes[0]
		took, err := timed(func() error { return n.fill(ctx) })
		if err != nil {
			return err
		}
		b.report.add(row{Name: fmt.Sprintf("%d tasks made and found pending", listed), Value: took.Seconds(), Unit: "s", Samples: 1})
		if err := b.list(ctx, n, 300, "get", "tasks"); err != nil {
			return err
		}
		return b.list(ctx, n, 0, "get", "tasks", "-o", "json")
	}, "list")
}

// fill makes one service with many tasks, each with what tasks usually have.
func (n *node) fill(ctx context.Context) error {
	w, err := n.watch(ctx)
	if err != nil {
		return err
	}
	defer w.end()
	images, err := n.ListImages(ctx)
	if err != nil {
		return err
	}
	s := service("many", listed)
	s.Spec.Image = imageName + "@" + images[0].Digest // else there would be one task until it has found out the digest
	s.Spec.Resources.Reservations.Memory = 1 << 50
	s.Spec.Labels = map[string]string{"app": "many", "tier": "front"}
	for _, name := range []string{"LISTEN", "LOG_LEVEL", "REGION", "UPSTREAM"} {
		s.Spec.Env = append(s.Spec.Env, v1.EnvVar{Name: name, Value: "value of " + name})
	}
	if err := n.create(ctx, s); err != nil {
		return err
	}
	return w.until(func(v view) bool {
		s := v.services["many"]
		return s != nil && s.Status.Tasks == listed && v.pending() == listed
	})
}

// pending counts the tasks of which it is known why they do not run.
func (v view) pending() (n int) {
	for _, t := range v.tasks {
		if len(t.Status.Pending) > 0 {
			n++
		}
	}
	return n
}

func (b *bench) list(ctx context.Context, n *node, most float64, args ...string) error {
	var wall, cpu, served samples
	var peaks, bytes []int64
	for i := range b.rounds(11, 5) + 1 {
		before, err1 := cpuTime(n.pid)
		c, err2 := b.call(ctx, n, args...)
		after, err3 := cpuTime(n.pid)
		if err := errors.Join(err1, err2, err3); err != nil {
			return err
		}
		if i > 0 { // the first one finds nothing in caches
			wall, cpu, served = append(wall, c.took), append(cpu, c.cpu), append(served, after-before)
			peaks, bytes = append(peaks, c.peak), append(bytes, c.printed)
		}
	}
	b.report.add(
		row{Name: fmt.Sprintf("warrenctl %s, %d", strings.Join(args, " "), listed), Value: milliseconds(wall.median()), Unit: "ms", Samples: len(wall), Most: most,
			Note: fmt.Sprintf("p95 %.0f ms; processor time of warrenctl %.0f ms, of warren %.0f ms; %.1f MiB printed",
				milliseconds(wall.quantile(0.95)), milliseconds(cpu.median()), milliseconds(served.median()), float64(median(bytes))/mib)},
		row{Name: "the same: memory of warrenctl", Value: float64(median(peaks)) / mib, Unit: "MiB RSS", Samples: len(peaks), Most: 100, Hard: true,
			Note: "peak, its program's pages included"},
	)
	return nil
}

// env is that of a warrenctl for this node.
func (n *node) env() []string {
	return append(os.Environ(), "WARREN_SERVER=unix://"+filepath.Join(n.host.RunDir, "warren.sock"))
}

// called is what one run of warrenctl took.
type called struct {
	took, cpu time.Duration
	peak      int64 // resident memory at most
	printed   int64
}

// call runs warrenctl on a node. Its memory is looked at whenever it prints, the last time when it has nearly all out: the
// kernel's own account of an ended child counts the memory of its parent before exec, too.
func (b *bench) call(ctx context.Context, n *node, args ...string) (called, error) {
	cmd := exec.CommandContext(ctx, b.warrenctl, args...)
	cmd.Env = n.env()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return called{}, err
	}
	var c called
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return called{}, err
	}
	buf := make([]byte, 256<<10)
	for err == nil {
		var size int
		size, err = out.Read(buf)
		c.printed += int64(size)
		c.peak = max(c.peak, peakMemory(cmd.Process.Pid))
	}
	if err := errors.Join(ignore(err, io.EOF), cmd.Wait()); err != nil {
		return called{}, fmt.Errorf("warrenctl %v: %w", args, err)
	}
	c.took, c.cpu = time.Since(began), cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()
	return c, nil
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}
