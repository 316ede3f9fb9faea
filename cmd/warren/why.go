package main

import (
	"context"
	"fmt"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/controllers/reconciler"
	"warren.io/warren/controllers/scheduler"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/server"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
	"warren.io/warren/runtime/why"
)

// why answers from what is stored, what was decided here, and what the leader's controllers say when they are asked now.
func (n *node) why(ctx context.Context, key meta.Key) ([]string, error) {
	if lines, err := n.askLeader(ctx, key); err == nil && lines != nil {
		return lines, nil
	}
	v := why.View{Now: time.Now(), Node: n.id.Name, Decisions: n.trace.All(), Troubles: n.troubles(ctx),
		LastWords: func(task string) []string { return n.lastWords(ctx, task) }}
	objects, rev, err := n.late.List(ctx)
	if err != nil {
		if key.Kind == v1.NodeKind.Name && len(v.Troubles) > 0 && (key.Name == n.id.Name || n.id.Name == "") {
			return why.Answer{Cause: fmt.Sprintf("node/%s is in trouble: %s", key.Name, v.Troubles[0]), More: v.Troubles[1:]}.Lines(), nil
		}
		return nil, err
	}
	v.Snapshot = control.NewSnapshot(v1.Kinds, objects, rev)
	if n.id.worker() {
		v.Words = map[meta.Key][]string{} // those who decide are elsewhere
	} else if v.Words, err = ask(ctx, v.Snapshot, v.Now, key); err != nil {
		return nil, err
	}
	a, known := why.Of(v, key)
	if !known {
		return nil, fmt.Errorf("%s: %w", key, store.ErrNotFound)
	}
	return a.Lines(), nil
}

// askLeader asks the manager that decides, if that is another one; nil if it is not.
func (n *node) askLeader(ctx context.Context, key meta.Key) ([]string, error) {
	own := key == meta.Key{Kind: v1.NodeKind.Name, Name: n.id.Name} // what is wrong here it knows best
	if n.leading.get() || own || server.ForNode(ctx) == n.id.Name { // or was asked by a manager that took it for the leader
		return nil, nil
	}
	for _, m := range n.known() {
		if m.Leader && m.Name != n.id.Name {
			s, err := n.office.dial(addressOf(m))
			if err != nil {
				return nil, err
			}
			return s.Why(grpcstore.ForNode(ctx, m.Name), key)
		}
	}
	return nil, nil
}

// ask runs the controllers that decide about a thing, without effect, for what they have to say.
func ask(ctx context.Context, snap *control.Snapshot, now time.Time, key meta.Key) (map[meta.Key][]string, error) {
	words, err := control.Explain(ctx, scheduler.Controller{}, snap, now, "")
	if err != nil {
		return nil, err
	}
	service := key.Name
	if o, ok := snap.Get(key); ok && key.Kind == v1.TaskKind.Name {
		service = o.(*v1.Task).Spec.Service
	}
	if key.Kind == v1.NodeKind.Name {
		return words, nil
	}
	more, err := control.Explain(ctx, reconciler.Controller{}, snap, now, service)
	for k, lines := range more {
		words[k] = append(words[k], lines...)
	}
	return words, err
}

// troubles are the parts of this node that are not ready.
func (n *node) troubles(ctx context.Context) []string {
	var out []string
	for _, c := range n.health(ctx) {
		if !c.OK {
			out = append(out, c.Name+": "+c.Message)
		}
	}
	return out
}

// lastWordLines is how much of what a task wrote is part of an answer.
const lastWordLines = 3

func (n *node) lastWords(ctx context.Context, task string) []string {
	var out []string
	_ = n.hosts.Read(ctx, task, host.LogOptions{Tail: lastWordLines}, func(l host.LogLine) error { // no log, no words
		if l.Stream != host.Notice {
			out = append(out, l.Text)
		}
		return nil
	})
	return out
}
