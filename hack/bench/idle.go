package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"warren.io/warren/e2e/hosts"
)

const (
	idleTasks = 20
	mib       = 1 << 20
)

// measureIdle looks at two nodes side by side that have nothing to do: one without tasks and one with some.
func measureIdle(ctx context.Context, b *bench) error {
	return b.with(ctx, func(nodes ...*node) error {
		empty, full := nodes[0], nodes[1]
		if err := b.idleMemory(ctx, empty, full); err != nil {
			return err
		}
		window := 5 * time.Minute
		if b.quick {
			window = time.Minute
		}
		for _, n := range nodes {
			if err := n.settle(ctx); err != nil {
				return err
			}
		}
		began := time.Now()
		a, err1 := empty.usage()
		c, err2 := full.usage()
		pause(ctx, window)
		a2, err3 := empty.usage()
		c2, err4 := full.usage()
		if err := errors.Join(err1, err2, err3, err4, ctx.Err()); err != nil {
			return err
		}
		b.reportUse("no tasks", empty, a, a2, began)
		b.reportUse(fmt.Sprintf("%d tasks", idleTasks), full, c, c2, began)
		return nil
	}, "empty", "full")
}

// idleMemory starts the tasks and looks at what everything takes.
func (b *bench) idleMemory(ctx context.Context, empty, full *node) error {
	pause(ctx, 5*time.Second) // what a start leaves behind is given back by the collector in time
	before, err := readMemory(empty.pid)
	if err != nil {
		return err
	}
	w, err := full.watch(ctx)
	if err != nil {
		return err
	}
	defer w.end()
	if err := full.create(ctx, service("idle", idleTasks)); err != nil {
		return err
	}
	if err := w.until(func(v view) bool { return v.ready() == idleTasks }); err != nil {
		return err
	}
	pause(ctx, 5*time.Second)
	shims, err := full.processes(hosts.Shim)
	if err != nil {
		return err
	}
	var each []int64
	for _, pid := range shims {
		m, err := readMemory(pid)
		if err != nil {
			return err
		}
		each = append(each, m.pss)
	}
	with, err := readMemory(full.pid)
	if err != nil {
		return err
	}
	b.report.add(
		row{Name: "memory of a fresh node", Value: float64(before.pss) / mib, Unit: "MiB PSS", Most: 75,
			Note: fmt.Sprintf("anonymous %.1f MiB, the rest can be dropped; one process, etcd and containerd in it", float64(before.anonymous)/mib)},
		row{Name: fmt.Sprintf("memory with %d tasks", idleTasks), Value: float64(with.pss) / mib, Unit: "MiB PSS",
			Note: fmt.Sprintf("warren alone; anonymous %.1f MiB", float64(with.anonymous)/mib)},
		row{Name: "memory of an idle task", Value: float64(median(each)) / mib, Unit: "MiB PSS", Samples: len(each), Note: "its shim"},
	)
	return nil
}

// processes of the node of one kind.
func (n *node) processes(kinds ...hosts.Kind) ([]int, error) {
	all, err := n.host.Processes()
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, p := range all {
		if slices.Contains(kinds, p.Kind) {
			pids = append(pids, p.PID)
		}
	}
	return pids, nil
}

// settle waits until the start is digested: nothing was written for a while.
func (n *node) settle(ctx context.Context) error {
	const still = 15 * time.Second
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	last, since := use{}, time.Now()
	for time.Since(since) < still && ctx.Err() == nil {
		u, err := n.usage()
		if err != nil {
			return err
		}
		if u.written != last.written {
			last, since = u, time.Now()
		}
		pause(ctx, time.Second)
	}
	return nil // one that never settles shows in the figures
}

// use is what our processes of a node have used so far.
type use struct {
	at       time.Time
	cpu      time.Duration
	written  int64
	switches int64
}

func (n *node) usage() (use, error) {
	pids, err := n.processes(hosts.Warren, hosts.Shim, hosts.Other)
	u := use{at: time.Now()}
	for _, pid := range pids {
		c, err1 := cpuTime(pid)
		w, err2 := writtenBy(pid)
		err = errors.Join(err, err1, err2)
		u.cpu, u.written, u.switches = u.cpu+c, u.written+w, u.switches+switches(pid)
	}
	return u, err
}

func (b *bench) reportUse(what string, n *node, from, to use, began time.Time) {
	window := to.at.Sub(from.at)
	files := writtenSince(n.host.DataDir, began)
	note := fmt.Sprintf("over %.0f s; %.0f wake-ups a second", window.Seconds(), float64(to.switches-from.switches)/window.Seconds())
	b.report.add(
		row{Name: "processor, " + what, Value: 100 * (to.cpu - from.cpu).Seconds() / window.Seconds(), Unit: "% of one CPU", Most: 0.3, Note: note},
		row{Name: "written, " + what, Value: float64(to.written - from.written), Unit: "bytes", None: true, Hard: true,
			Note: fmt.Sprintf("over %.0f s, by all our processes, as the kernel counts", window.Seconds())},
		row{Name: "changed files, " + what, Value: float64(len(files)), Unit: "files", None: true, Hard: true, Note: strings.Join(files[:min(len(files), 5)], " ")},
	)
}
