package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/e2e/hosts"
	"warren.io/warren/runtime/store"
)

// mark is a service without tasks that is written again and again.
const mark = "mark"

// measureFailover kills the leader of three managers again and again: how long until another takes a write, whether reads go
// on there, and whether any task notices. Before that it measures writes and how soon the others see them.
func measureFailover(ctx context.Context, b *bench) error {
	return b.council(ctx, func(_ *hosts.Bench, all []*node) error {
		if err := errors.Join(all[0].create(ctx, service("web", 3)), all[0].create(ctx, service(mark, 0))); err != nil {
			return err
		}
		w, err := all[0].watch(ctx)
		if err != nil {
			return err
		}
		err = w.until(func(v view) bool { return v.ready() == 3 })
		w.end()
		if err != nil {
			return err
		}
		if err := b.replication(ctx, all); err != nil {
			return err
		}
		return b.kills(ctx, all)
	})
}

func (b *bench) kills(ctx context.Context, all []*node) error {
	before, err := processes(ctx, all[0])
	if err != nil {
		return err
	}
	var took, gaps samples
	for i := range b.rounds(20, 3) {
		lead, rest, err := leaderOf(ctx, all)
		if err != nil {
			return err
		}
		f, err := failover(ctx, all[lead], rest[i%2], rest[(i+1)%2])
		if err != nil {
			return fmt.Errorf("kill %d: %w", i+1, err)
		}
		took, gaps = append(took, f.write), append(gaps, f.read)
		_ = all[lead].Close()
		if all[lead], err = b.launch(ctx, all[lead].host, "run"); err != nil {
			return err
		}
		if err := all[lead].voters(ctx, 3); err != nil {
			return err
		}
	}
	after, err := processes(ctx, all[0])
	if err != nil {
		return err
	}
	noticed := 0
	for name, was := range before {
		if after[name] != was {
			noticed++
		}
	}
	b.report.add(
		row{Name: "leader killed, until another manager takes a write: median", Value: took.median().Seconds(), Unit: "s", Samples: len(took), Most: 1.5},
		row{Name: "leader killed, until another manager takes a write: worst", Value: took.quantile(1).Seconds(), Unit: "s", Samples: len(took), Most: 3},
		row{Name: "longest time without an answer to a read at another manager", Value: gaps.quantile(1).Seconds(), Unit: "s", Samples: len(gaps), Most: 3, Note: fmt.Sprintf("median %.2f s", gaps.median().Seconds())},
		row{Name: "tasks that noticed", Value: float64(noticed), None: true, Hard: true, Samples: len(before)})
	return nil
}

// processes are those of all tasks, as the cluster knows them.
func processes(ctx context.Context, n *node) (map[string]string, error) {
	all, _, err := n.Only("Task").List(ctx)
	out := map[string]string{}
	for _, o := range all {
		t := o.(*v1.Task)
		out[t.Metadata.Name] = fmt.Sprintf("%d on %s, restarts %d", t.Status.PID, t.Spec.Node, t.Status.Restarts)
	}
	return out, err
}

// leaderOf waits until one of them leads and all vote.
func leaderOf(ctx context.Context, all []*node) (lead int, rest []*node, err error) {
	if err := all[0].voters(ctx, len(all)); err != nil {
		return 0, nil, err
	}
	states, err := all[0].Managers(ctx, true)
	if err != nil {
		return 0, nil, err
	}
	lead = -1
	for _, s := range states {
		for i, n := range all {
			if s.Name == n.host.Name && s.Leader {
				lead = i
			}
		}
	}
	if lead < 0 {
		return 0, nil, errors.New("nobody leads")
	}
	for i, n := range all {
		if i != lead {
			rest = append(rest, n)
		}
	}
	return lead, rest, nil
}

// outage is how long something could not be had.
type outage struct{ write, read time.Duration }

// failover kills the leader and writes at one of the others, while it reads at the third.
func failover(ctx context.Context, lead, writer, reader *node) (f outage, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	reading, stop := context.WithCancel(ctx)
	gap := make(chan time.Duration, 1)
	go func() { gap <- readGap(reading, reader) }()
	began := time.Now()
	err = syscall.Kill(lead.pid, syscall.SIGKILL)
	for err == nil {
		if err = write(ctx, writer, began.String()); err == nil {
			break
		}
		if ctx.Err() == nil {
			err = nil
			pause(ctx, 5*time.Millisecond)
		}
	}
	f.write = time.Since(began)
	stop()
	f.read = <-gap
	return f, err
}

// write changes the mark.
func write(ctx context.Context, n *node, text string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	o, err := n.Get(ctx, meta.Key{Kind: "Service", Name: mark})
	if err != nil {
		return err
	}
	s := o.Clone().(*v1.Service)
	s.Metadata.Annotations = map[string]string{"warren.io/bench": text}
	_, err = n.Commit(ctx, store.UpdateOp(s))
	return err
}

// readGap is the longest time without an answer, until ctx ends.
func readGap(ctx context.Context, n *node) (worst time.Duration) {
	last := time.Now()
	for ctx.Err() == nil {
		if _, err := n.Get(ctx, meta.Key{Kind: "Service", Name: mark}); err == nil {
			worst, last = max(worst, time.Since(last)), time.Now()
		}
		pause(ctx, 5*time.Millisecond)
	}
	return max(worst, time.Since(last))
}

// replication writes at the leader and watches at another.
func (b *bench) replication(ctx context.Context, all []*node) error {
	lead, rest, err := leaderOf(ctx, all)
	if err != nil {
		return err
	}
	s := rest[0].Only("Service")
	_, rev, err := s.List(ctx)
	if err != nil {
		return err
	}
	watching, end := context.WithCancel(ctx)
	defer end()
	seen := s.Watch(watching, rev)
	var writes, visible samples
	for i := range b.rounds(500, 100) {
		o, err := all[lead].Get(ctx, meta.Key{Kind: "Service", Name: mark})
		if err != nil {
			return err
		}
		m := o.Clone().(*v1.Service)
		m.Metadata.Annotations = map[string]string{"warren.io/bench": fmt.Sprint(i)}
		began := time.Now()
		rev, err := all[lead].Commit(ctx, store.UpdateOp(m))
		if err != nil {
			return err
		}
		writes = append(writes, time.Since(began))
		for at := store.Revision(0); at < rev; {
			batch, ok := <-seen
			if !ok || batch.Err != nil {
				return fmt.Errorf("watch at another manager: %w", batch.Err)
			}
			at = batch.Revision
		}
		visible = append(visible, time.Since(began))
	}
	b.report.add(
		row{Name: "write to three managers at the leader: median", Value: milliseconds(writes.median()), Unit: "ms", Samples: len(writes), Most: 5, Note: fmt.Sprintf("99 %%: %.1f ms", milliseconds(writes.quantile(0.99)))},
		row{Name: "from there until a watch at another manager shows it: median", Value: milliseconds(visible.median()), Unit: "ms", Samples: len(visible), Most: 10,
			Note: fmt.Sprintf("from the call at the leader on; 99 %%: %.1f ms", milliseconds(visible.quantile(0.99)))})
	return nil
}
