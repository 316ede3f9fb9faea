package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"warren.io/warren/e2e/hosts"
)

// site is a manager with two workers.
type site struct {
	b       *bench
	manager *node
	workers map[string]*node
}

// measureLoss loses a worker in three ways, with the default times of liveness: how long until its task answers elsewhere.
func measureLoss(ctx context.Context, b *bench) (err error) {
	bed, err := hosts.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bed.Close()) }()
	s, err := b.site(ctx, bed)
	if err != nil {
		return err
	}
	defer s.stop()
	for _, f := range []struct {
		name        string
		fault, undo func(*hosts.Host) error
		again       bool // its process has to be started again
	}{
		{"killed with its tasks", func(h *hosts.Host) error { return h.Kill() }, nil, true},
		{"cut off", (*hosts.Host).Cut, (*hosts.Host).Heal, false},
		{"rebooted, not back in time", (*hosts.Host).Reboot, nil, true},
	} {
		var all samples
		for range b.rounds(3, 1) {
			took, err := s.lose(ctx, f.fault)
			if err != nil {
				return fmt.Errorf("worker %s: %w", f.name, err)
			}
			all = append(all, took)
			if err := s.back(ctx, f.undo, f.again); err != nil {
				return fmt.Errorf("worker %s is back: %w", f.name, err)
			}
		}
		b.report.add(row{Name: "worker " + f.name + ", until its task serves elsewhere", Value: all.median().Seconds(), Unit: "s", Samples: len(all), Most: 18, Goal: 15,
			Note: fmt.Sprintf("worst %.1f s; 15 s of it are the default of downAfter", all.quantile(1).Seconds())})
	}
	return nil
}

// site starts the nodes and joins them.
func (b *bench) site(ctx context.Context, bed *hosts.Bench) (*site, error) {
	h, err := bed.Host("m")
	if err != nil {
		return nil, err
	}
	s := &site{b: b, workers: map[string]*node{}}
	if s.manager, err = b.launch(ctx, h, "run", "--node-name", "m", "--listen", h.Address.Addr().String()+":7070"); err != nil {
		return nil, err
	}
	for _, name := range []string{"a", "b"} {
		token, err := h.Command(ctx, b.warrenctl, "token", "create", "--role", "worker").Output()
		if err != nil {
			return nil, errors.Join(err, s.stop())
		}
		w, err := bed.Host(name)
		if err != nil {
			return nil, errors.Join(err, s.stop())
		}
		if s.workers[name], err = b.launch(ctx, w, "join", h.Address.Addr().String()+":7070", "--token", strings.TrimSpace(string(token)), "--node-name", name); err != nil {
			return nil, errors.Join(err, s.stop())
		}
	}
	return s, s.manager.create(ctx, service("web", 3))
}

func (s *site) stop() error {
	var errs []error
	for _, n := range s.workers {
		if n != nil {
			errs = append(errs, n.stop())
		}
	}
	return errors.Join(append(errs, s.manager.stop())...)
}

// lose takes worker b away, which runs one of three tasks, and waits until three answer elsewhere.
func (s *site) lose(ctx context.Context, fault func(*hosts.Host) error) (time.Duration, error) {
	w, err := s.manager.watch(ctx)
	if err != nil {
		return 0, err
	}
	defer w.end()
	if err := w.until(func(v view) bool { return v.ready() == 3 && len(v.tasks) == 3 && v.on("b") == 1 }); err != nil {
		return 0, fmt.Errorf("one task on each node: %w", err)
	}
	began := time.Now()
	if err := fault(s.workers["b"].host); err != nil {
		return 0, err
	}
	fresh := ""
	before := map[string]bool{}
	for name := range w.tasks {
		before[name] = true
	}
	err = w.until(func(v view) bool {
		for name, t := range v.tasks {
			if !before[name] && t.Status.Ready && t.Spec.Node != "b" {
				fresh = name
			}
		}
		return fresh != ""
	})
	if err != nil {
		return 0, err
	}
	if err := s.manager.visit(ctx, fresh); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}

func (v view) on(node string) (n int) {
	for _, t := range v.tasks {
		if t.Spec.Node == node {
			n++
		}
	}
	return n
}

// visit asks a task for its page, until it answers.
func (n *node) visit(ctx context.Context, task string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		page, err := n.page(ctx, task)
		if err == nil && strings.Contains(page, "200 OK") {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("visit %s: %w", task, errors.Join(ctx.Err(), err))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (n *node) page(ctx context.Context, task string) (string, error) {
	conn, err := n.DialTask(ctx, task, 8080)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return "", err
	}
	page, err := io.ReadAll(conn)
	return string(page), err
}

// back gives worker b back and one task to each node again.
func (s *site) back(ctx context.Context, undo func(*hosts.Host) error, again bool) error {
	lost := s.workers["b"]
	if undo != nil {
		if err := undo(lost.host); err != nil {
			return err
		}
	}
	if again {
		_ = lost.Close()
		n, err := s.b.launch(ctx, lost.host, "run")
		if err != nil {
			return err
		}
		s.workers["b"] = n
	}
	if err := s.manager.heard(ctx, "b"); err != nil {
		return err
	}
	if err := s.manager.remove(ctx, "web"); err != nil {
		return err
	}
	return s.manager.create(ctx, service("web", 3))
}

// heard waits until a node is ready as the manager sees it.
func (n *node) heard(ctx context.Context, name string) error {
	seen := *n
	host := *n.host
	host.Name = name
	seen.host = &host
	return seen.ready(ctx)
}
