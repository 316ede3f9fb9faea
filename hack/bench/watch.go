package main

import (
	"context"
	"fmt"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// view is the services and tasks of a node as a watch has told them.
type view struct {
	services map[string]*v1.Service
	tasks    map[string]*v1.Task
}

// ready counts the tasks that run.
func (v view) ready() (n int) {
	for _, t := range v.tasks {
		if t.Status.Ready {
			n++
		}
	}
	return n
}

type watcher struct {
	view
	batches <-chan store.Batch
	ctx     context.Context
	end     context.CancelFunc
}

// watch follows services and tasks, from now on, for as long as anything here may take.
func (n *node) watch(ctx context.Context) (*watcher, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	s := n.Only("Service", "Task")
	all, rev, err := s.List(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	w := &watcher{view: view{map[string]*v1.Service{}, map[string]*v1.Task{}}, ctx: ctx, end: cancel, batches: s.Watch(ctx, rev)}
	for _, o := range all {
		w.take(o.Key(), o)
	}
	return w, nil
}

func (v view) take(key meta.Key, o meta.Object) {
	switch o := o.(type) {
	case *v1.Service:
		v.services[key.Name] = o
	case *v1.Task:
		v.tasks[key.Name] = o
	case nil:
		if key.Kind == "Service" {
			delete(v.services, key.Name)
		} else {
			delete(v.tasks, key.Name)
		}
	}
}

// until follows until done says so of what is known.
func (w *watcher) until(done func(view) bool) error {
	for !done(w.view) {
		b, ok := <-w.batches
		switch {
		case b.Err != nil:
			return b.Err
		case !ok:
			return fmt.Errorf("watch: ended with %d services and %d tasks of which %d run: %w", len(w.services), len(w.tasks), w.ready(), context.Cause(w.ctx))
		}
		for _, c := range b.Changes {
			w.take(c.Key, c.Object)
		}
	}
	return nil
}
