package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/e2e/agents"
	"warren.io/warren/e2e/hosts"
)

// manyAgents is how many there are in the measure of scale.
const manyAgents = 100

// council starts three managers and calls f.
func (b *bench) council(ctx context.Context, f func(bed *hosts.Bench, managers []*node) error) (err error) {
	bed, err := hosts.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bed.Close()) }()
	var all []*node
	for i := range 3 {
		name := fmt.Sprintf("m%d", i+1)
		h, err := bed.Host(name)
		if err != nil {
			return err
		}
		args := []string{"run", "--node-name", name, "--listen", apiOf(h)}
		if i > 0 {
			token, err := b.token(ctx, all[0].host, "--role", "manager")
			if err != nil {
				return err
			}
			args = []string{"join", apiOf(all[0].host), "--token", token, "--node-name", name, "--listen", "0.0.0.0:7070"}
		}
		n, err := b.launch(ctx, h, args...)
		if err != nil {
			return fmt.Errorf("start manager %s: %w", name, err)
		}
		defer n.stop()
		all = append(all, n)
	}
	if err := all[0].voters(ctx, 3); err != nil {
		return err
	}
	return f(bed, all)
}

func apiOf(h *hosts.Host) string { return h.Address.Addr().String() + ":7070" }

func (b *bench) token(ctx context.Context, h *hosts.Host, args ...string) (string, error) {
	out, err := h.Command(ctx, b.warrenctl, append([]string{"token", "create"}, args...)...).Output()
	return strings.TrimSpace(string(out)), err
}

// voters waits until so many managers vote and one of them leads.
func (n *node) voters(ctx context.Context, count int) error {
	for deadline := time.Now().Add(patience); ; pause(ctx, 20*time.Millisecond) {
		all, err := n.Managers(ctx, true)
		voters, led := 0, false
		for _, m := range all {
			if m.Voter && m.Reachable {
				voters++
			}
			led = led || m.Leader
		}
		if err == nil && voters == count && led {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("wait for %d managers that vote, there are %d: %w", count, voters, errors.Join(err, ctx.Err()))
		}
	}
}

// measureScale looks at what the signs of life of many agents cost three managers.
func measureScale(ctx context.Context, b *bench) error {
	return b.council(ctx, func(bed *hosts.Bench, managers []*node) error {
		window := 2 * time.Minute
		if b.quick {
			window = 30 * time.Second
		}
		idle, err := usageOver(ctx, managers, window)
		if err != nil {
			return err
		}
		swarm, err := b.swarm(ctx, bed, managers)
		if err != nil {
			return err
		}
		defer swarm.Stop()
		busy, err := usageOver(ctx, managers, window)
		if err != nil {
			return err
		}
		for i, m := range managers {
			b.report.add(
				row{Name: fmt.Sprintf("%s: signs of life of %d agents", m.host.Name, manyAgents), Value: busy[i].percent - idle[i].percent, Unit: "% of a core", Most: 1,
					Note: fmt.Sprintf("%.2f %% in all, %.2f %% without agents", busy[i].percent, idle[i].percent)},
				row{Name: m.host.Name + ": bytes written meanwhile", Value: float64(busy[i].written), Unit: "B", None: true, Hard: true, Note: fmt.Sprintf("in %s", window)},
				row{Name: m.host.Name + ": memory", Value: float64(busy[i].memory.pss) / mib, Unit: "MiB",
					Note: fmt.Sprintf("%.0f MiB of it anonymous; %.0f MiB before there were agents", float64(busy[i].memory.anonymous)/mib, float64(idle[i].memory.pss)/mib)})
		}
		return nil
	})
}

// swarm starts the agents and waits until all are ready and nothing is written any more.
func (b *bench) swarm(ctx context.Context, bed *hosts.Bench, managers []*node) (*agents.Swarm, error) {
	token, err := b.token(ctx, managers[0].host, "--role", "worker", "--uses", strconv.Itoa(manyAgents))
	if err != nil {
		return nil, err
	}
	h, err := bed.Host("swarm")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "swarm-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) // an agent reads its keys once
	var at []string
	for _, m := range managers {
		at = append(at, apiOf(m.host))
	}
	began := time.Now()
	s, err := agents.Start(ctx, h, dir, token, manyAgents, at...)
	if err != nil {
		return nil, err
	}
	for _, name := range s.Names {
		if err := managers[0].heard(ctx, name); err != nil {
			return nil, errors.Join(err, s.Stop())
		}
	}
	b.report.add(row{Name: fmt.Sprintf("%d agents join and are ready", manyAgents), Value: time.Since(began).Seconds(), Unit: "s", Note: "one after the other"})
	for _, m := range managers {
		if err := m.settle(ctx); err != nil {
			return nil, errors.Join(err, s.Stop())
		}
	}
	return s, nil
}

// share is what a process used over a time.
type share struct {
	percent float64 // of a core
	written int64
	memory  memory
}

func usageOver(ctx context.Context, nodes []*node, window time.Duration) ([]share, error) {
	pause(ctx, 3*v1.DefaultHeartbeat)
	type point struct {
		cpu     time.Duration
		written int64
	}
	read := func(n *node) (p point, err error) {
		cpu, err1 := cpuTime(n.pid)
		written, err2 := writtenBy(n.pid)
		return point{cpu, written}, errors.Join(err1, err2)
	}
	began := time.Now()
	var before []point
	for _, n := range nodes {
		p, err := read(n)
		if err != nil {
			return nil, err
		}
		before = append(before, p)
	}
	pause(ctx, window)
	var out []share
	for i, n := range nodes {
		p, err1 := read(n)
		m, err2 := readMemory(n.pid)
		if err := errors.Join(err1, err2, ctx.Err()); err != nil {
			return nil, err
		}
		out = append(out, share{100 * float64(p.cpu-before[i].cpu) / float64(time.Since(began)), p.written - before[i].written, m})
	}
	return out, nil
}
