package main

import (
	"context"
	"errors"
	"fmt"
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
		for i := range b.rounds(5, 2) {
			up, down, err := n.startMany(ctx, fmt.Sprintf("many-%d", i))
			if err != nil {
				return err
			}
			other, err := p.startMany(ctx, fmt.Sprintf("many-%d", i))
			if err != nil {
				return fmt.Errorf("containerd alone: %w", err)
			}
			ours, gone, theirs = append(ours, up), append(gone, down), append(theirs, other)
		}
		k := len(ours)
		b.report.add(
			row{Name: fmt.Sprintf("%d replicas: apply to all ready", many), Value: ours.median().Seconds(), Unit: "s", Samples: k, Most: 3,
				Note: "status of the service says so"},
			row{Name: fmt.Sprintf("%d starts on containerd alone", many), Value: theirs.median().Seconds(), Unit: "s", Samples: k,
				Note: fmt.Sprintf("%d at once", parallel)},
			row{Name: "ratio of the two", Value: ours.median().Seconds() / theirs.median().Seconds(), Unit: "x", Samples: k},
			row{Name: fmt.Sprintf("%d replicas: delete to all gone", many), Value: gone.median().Seconds(), Unit: "s", Samples: k},
		)
		return nil
	}, "many")
}

func (n *node) startMany(ctx context.Context, name string) (up, down time.Duration, err error) {
	w, err := n.watch(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer w.end()
	began := time.Now()
	if err := n.create(ctx, service(name, many)); err != nil {
		return 0, 0, err
	}
	err = w.until(func(v view) bool { s := v.services[name]; return s != nil && s.Status.Ready == many })
	if err != nil {
		return 0, 0, err
	}
	up = time.Since(began)
	down, err = timed(func() error { return n.remove(ctx, name) })
	return up, down, err
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
