package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/containerd/containerd/v2/contrib/seccomp"

	v1 "warren.io/warren/apis/v1"
)

// times of one start, from the moment of the commit.
type times struct{ committed, placed, starting, running, answered time.Duration }

// measureStart starts one task and one plain container in turns: what else goes on hits both alike.
func measureStart(ctx context.Context, b *bench) error {
	return b.with(ctx, func(nodes ...*node) error {
		n := nodes[0]
		p, err := newPlain(ctx, n, b.image)
		if err != nil {
			return fmt.Errorf("prepare containerd: %w", err)
		}
		defer p.client.Close()
		var ours []times
		var theirs, guarded samples
		rounds := b.rounds(30, 15)
		for i := range rounds + 2 {
			mine, err := n.startOne(ctx, fmt.Sprintf("one-%d", i))
			if err != nil {
				return err
			}
			other, err := p.run(ctx, fmt.Sprintf("one-%d", i))
			if err != nil {
				return fmt.Errorf("containerd alone: %w", err)
			}
			third, err := p.run(ctx, fmt.Sprintf("guarded-%d", i), seccomp.WithDefaultProfile())
			if err != nil {
				return fmt.Errorf("containerd alone: %w", err)
			}
			if i >= 2 { // the first ones read programs from the disk
				ours, theirs, guarded = append(ours, mine), append(theirs, other), append(guarded, third)
			}
		}
		b.reportStart(ours, theirs, guarded)
		return nil
	}, "start")
}

func (b *bench) reportStart(ours []times, theirs, guarded samples) {
	pick := func(f func(times) time.Duration) (s samples) {
		for _, t := range ours {
			s = append(s, f(t))
		}
		return s
	}
	running := pick(func(t times) time.Duration { return t.running })
	n := len(ours)
	note := fmt.Sprintf("seen by a watch after: commit %.1f, placed %.1f, starting %.1f ms; p95 %.0f ms",
		milliseconds(pick(func(t times) time.Duration { return t.committed }).median()),
		milliseconds(pick(func(t times) time.Duration { return t.placed }).median()),
		milliseconds(pick(func(t times) time.Duration { return t.starting }).median()), milliseconds(running.quantile(0.95)))
	answered := pick(func(t times) time.Duration { return t.answered })
	b.report.add(
		row{Name: "apply to process running", Value: running.median().Seconds(), Unit: "s", Samples: n, Goal: 0.12, Note: note},
		row{Name: "containerd client alone", Value: theirs.median().Seconds(), Unit: "s", Samples: n,
			Note: fmt.Sprintf("interleaved; no network, no log, no seccomp; p95 %.0f ms", milliseconds(theirs.quantile(0.95)))},
		row{Name: "the same with Docker's seccomp profile", Value: guarded.median().Seconds(), Unit: "s", Samples: n,
			Note: "interleaved; the profile that every task of ours has, compiled by runc at each start"},
		row{Name: "ratio of the two", Value: running.median().Seconds() / theirs.median().Seconds(), Unit: "x", Samples: n, Most: 2, Hard: true},
		row{Name: "apply to HTTP answer", Value: answered.median().Seconds(), Unit: "s", Samples: n},
	)
}

// startOne applies a service with one task, follows it until its process runs and answers, and removes it.
func (n *node) startOne(ctx context.Context, name string) (times, error) {
	w, err := n.watch(ctx)
	if err != nil {
		return times{}, err
	}
	defer w.end()
	var t times
	began := time.Now()
	if err := n.create(ctx, service(name, 1)); err != nil {
		return t, err
	}
	t.committed = time.Since(began)
	var task *v1.Task
	note := func(at *time.Duration, is bool) {
		if is && *at == 0 {
			*at = time.Since(began)
		}
	}
	err = w.until(func(v view) bool {
		for _, x := range v.tasks {
			task = x
			note(&t.placed, x.Spec.Node != "")
			note(&t.starting, x.Status.Phase == v1.TaskStarting || x.Status.PID > 0)
			note(&t.running, x.Status.PID > 0)
		}
		return t.running > 0
	})
	if err != nil {
		return t, err
	}
	if err := n.answers(ctx, task.Status.Address); err != nil {
		return t, err
	}
	t.answered = time.Since(began)
	return t, n.remove(ctx, name)
}

// answers waits until the task at an address answers.
func (n *node) answers(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	dial := func(ctx context.Context, network, addr string) (c net.Conn, err error) {
		err = n.host.Do(func() (err error) { c, err = (&net.Dialer{}).DialContext(ctx, network, addr); return err })
		return c, err
	}
	h := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(address, "8080")+"/healthz", nil)
		if err != nil {
			return err
		}
		a, err := h.Do(r)
		if err == nil {
			return a.Body.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Millisecond):
		}
	}
}
