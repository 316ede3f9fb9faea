package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

const services = 200

// measureAPI reads and writes over the node's socket, as warrenctl does, while the controllers work on what is written.
func measureAPI(ctx context.Context, b *bench) error {
	return b.with(ctx, func(nodes ...*node) error {
		n := nodes[0]
		b.report.add(row{Name: "boot: fresh node ready after", Value: n.booted.Seconds(), Unit: "s", Note: "programs unpacked, etcd, containerd, node placed"})
		if err := b.readsAndWrites(ctx, n); err != nil {
			return err
		}
		var idle, pending []float64
		for i := range b.rounds(5, 3) {
			rate, err := n.createMany(ctx, fmt.Sprintf("none-%d", i), func(s *v1.Service) { *s.Spec.Replicas = 0 })
			if err != nil {
				return err
			}
			idle = append(idle, rate)
			rate, err = n.createMany(ctx, fmt.Sprintf("wait-%d", i), func(s *v1.Service) { s.Spec.Resources.Reservations.Memory = 1 << 50 })
			if err != nil {
				return err
			}
			pending = append(pending, rate)
		}
		after, err := readMemory(n.pid)
		if err != nil {
			return err
		}
		b.report.add(
			row{Name: fmt.Sprintf("%d services one by one", services), Value: median(idle), Unit: "/s", Samples: len(idle), Least: 500, Note: "replicas: 0; the reconciler writes each one's status meanwhile"},
			row{Name: "the same with a task each", Value: median(pending), Unit: "/s", Samples: len(pending), Note: "replicas: 1 and too large for the node: each task is made and found pending meanwhile"},
			row{Name: "memory after this load", Value: float64(after.pss) / (1 << 20), Unit: "MiB PSS", Note: fmt.Sprintf("anonymous %.1f MiB", float64(after.anonymous)/(1<<20))},
		)
		return nil
	}, "api")
}

func (b *bench) readsAndWrites(ctx context.Context, n *node) error {
	w, err := n.watch(ctx)
	if err != nil {
		return err
	}
	defer w.end()
	if err := n.create(ctx, service("web", 0)); err != nil {
		return err
	}
	settled := func(v view) bool { s := v.services["web"]; return s != nil && s.Status.ObservedGeneration > 0 }
	if err := w.until(settled); err != nil {
		return err
	}
	key := meta.Key{Kind: "Service", Name: "web"}
	reads, err := repeat(b.rounds(5000, 2000), func(int) error { _, err := n.Get(ctx, key); return err })
	if err != nil {
		return err
	}
	o, err := n.Get(ctx, key)
	if err != nil {
		return err
	}
	writes, err := repeat(b.rounds(1000, 300), func(i int) (err error) {
		o = o.Clone()
		o.Meta().Labels = map[string]string{"round": strconv.Itoa(i)}
		o.Meta().Revision, err = n.Commit(ctx, store.UpdateOp(o))
		return err
	})
	if err != nil {
		return err
	}
	b.report.add(
		row{Name: "read p50", Value: milliseconds(reads.median()), Unit: "ms", Samples: len(reads), Most: 0.5, Note: "Get over the unix socket"},
		row{Name: "read p95", Value: milliseconds(reads.quantile(0.95)), Unit: "ms", Samples: len(reads)},
		row{Name: "write p50", Value: milliseconds(writes.median()), Unit: "ms", Samples: len(writes), Most: 2, Note: "one guarded commit, synced to disk, over the unix socket"},
		row{Name: "write p95", Value: milliseconds(writes.quantile(0.95)), Unit: "ms", Samples: len(writes)},
	)
	return n.remove(ctx, "web")
}

// createMany creates services one after the other and returns how many a second; then it removes them.
func (n *node) createMany(ctx context.Context, prefix string, change func(*v1.Service)) (float64, error) {
	w, err := n.watch(ctx)
	if err != nil {
		return 0, err
	}
	defer w.end()
	var names []string
	began := time.Now()
	for i := range services {
		s := service(fmt.Sprintf("%s-%d", prefix, i), 1)
		change(s)
		if err := n.create(ctx, s); err != nil {
			return 0, err
		}
		names = append(names, s.Metadata.Name)
	}
	rate := services / time.Since(began).Seconds()
	err = w.until(func(v view) bool {
		for _, s := range v.services {
			if s.Status.ObservedGeneration == 0 || s.Status.Tasks < s.Status.Desired {
				return false
			}
		}
		return len(v.services) == services
	})
	if err != nil {
		return 0, err
	}
	return rate, n.remove(ctx, names...)
}
