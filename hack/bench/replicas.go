package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	many     = 50
	parallel = 8 // starts at once, on containerd alone
)

// measureReplicas starts many tasks at once, in turns with as many plain containers.
func measureReplicas(ctx context.Context, b *bench) error {
	return b.with(ctx, func(nodes ...*node) error {
		n := nodes[0]
		p, err := newPlain(ctx, n, b.image)
		if err != nil {
			return fmt.Errorf("prepare containerd: %w", err)
		}
		defer p.client.Close()
		var ours, theirs, gone samples
		var commits, syncs []float64
		for i := range b.rounds(5, 2) {
			up, down, d, err := n.startMany(ctx, fmt.Sprintf("many-%d", i))
			if err != nil {
				return err
			}
			other, err := p.startMany(ctx, fmt.Sprintf("many-%d", i))
			if err != nil {
				return fmt.Errorf("containerd alone: %w", err)
			}
			ours, gone, theirs = append(ours, up), append(gone, down), append(theirs, other)
			commits, syncs = append(commits, d.commits), append(syncs, d.syncs)
		}
		k := len(ours)
		b.report.add(
			row{Name: fmt.Sprintf("%d replicas: apply to all ready", many), Value: ours.median().Seconds(), Unit: "s", Samples: k, Most: 3,
				Note: "status of the service says so"},
			row{Name: fmt.Sprintf("%d starts on containerd alone", many), Value: theirs.median().Seconds(), Unit: "s", Samples: k,
				Note: fmt.Sprintf("%d at once", parallel)},
			row{Name: "commits meanwhile", Value: median(commits), Unit: "", Samples: k, Note: fmt.Sprintf("from apply to all ready, of all controllers; the log was synced %.0f times", median(syncs))},
			row{Name: "ratio of the two", Value: ours.median().Seconds() / theirs.median().Seconds(), Unit: "x", Samples: k},
			row{Name: fmt.Sprintf("%d replicas: delete to all gone", many), Value: gone.median().Seconds(), Unit: "s", Samples: k},
		)
		return nil
	}, "many")
}

func (n *node) startMany(ctx context.Context, name string) (up, down time.Duration, cost diskWork, err error) {
	w, err := n.watch(ctx)
	if err != nil {
		return 0, 0, cost, err
	}
	defer w.end()
	before, err := n.diskWork(ctx)
	if err != nil {
		return 0, 0, cost, err
	}
	began := time.Now()
	if err := n.create(ctx, service(name, many)); err != nil {
		return 0, 0, cost, err
	}
	err = w.until(func(v view) bool { s := v.services[name]; return s != nil && s.Status.Ready == many })
	if err != nil {
		return 0, 0, cost, err
	}
	up = time.Since(began)
	after, err := n.diskWork(ctx)
	if err != nil {
		return 0, 0, cost, err
	}
	down, err = timed(func() error { return n.remove(ctx, name) })
	return up, down, diskWork{after.commits - before.commits, after.syncs - before.syncs}, err
}

// diskWork is what the store has done since the node started.
type diskWork struct{ commits, syncs float64 }

// diskWork reads the node's metrics.
func (n *node) diskWork(ctx context.Context) (diskWork, error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(n.host.RunDir, "warren.sock"))
	}
	h := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://warren/metrics", nil)
	if err != nil {
		return diskWork{}, err
	}
	a, err := h.Do(r)
	if err != nil {
		return diskWork{}, err
	}
	defer a.Body.Close()
	var d diskWork
	lines := bufio.NewScanner(a.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		v, err := strconv.ParseFloat(value, 64)
		switch {
		case err != nil:
		case name == "etcd_disk_wal_fsync_duration_seconds_count":
			d.syncs = v
		case strings.HasPrefix(name, `warren_store_commits_total{outcome="committed"`):
			d.commits = v
		}
	}
	return d, lines.Err()
}

func (p *plain) startMany(ctx context.Context, name string) (time.Duration, error) {
	var mu sync.Mutex
	var errs []error
	var removes []func() error
	ids := make(chan string)
	var work sync.WaitGroup
	began := time.Now()
	for range parallel {
		work.Go(func() {
			for id := range ids {
				_, remove, err := p.start(ctx, id)
				mu.Lock()
				if err != nil {
					errs = append(errs, err)
				} else {
					removes = append(removes, remove)
				}
				mu.Unlock()
			}
		})
	}
	for i := range many {
		ids <- fmt.Sprintf("%s-%d", name, i)
	}
	close(ids)
	work.Wait()
	took := time.Since(began)
	for _, remove := range removes {
		errs = append(errs, remove())
	}
	return took, errors.Join(errs...)
}
