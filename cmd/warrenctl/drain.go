package warrenctl

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

func (p *program) drain(c *cli.Context) error {
	keys, err := nodesNamed(c)
	if err == nil && len(keys) > 1 {
		err = try(usagef("drain one node after the other"), "warrenctl node drain %s", keys[0].Name)
	}
	if err != nil {
		return err
	}
	s, err := p.server(c)
	if err != nil {
		return err
	}
	err = p.modify(c.Context, s, keys, func(o meta.Object) (string, error) {
		spec := &o.(*v1.Node).Spec
		if spec.Unschedulable = true; spec.Drain == "" || c.Bool("force") {
			spec.Drain = v1.DrainGentle
		}
		if c.Bool("force") {
			spec.Drain = v1.DrainForce
		}
		return "draining", nil
	})
	if err != nil {
		return err
	}
	d := &draining{p: p, node: keys[0].Name, tasks: map[string]*v1.Task{}}
	return d.run(c.Context, s, c.Duration("timeout"))
}

// draining follows how the tasks of a node are replaced. The cluster does that, whether anybody looks or not.
type draining struct {
	p     *program
	node  string
	spec  *v1.Node
	tasks map[string]*v1.Task
	said  string
}

func (d *draining) run(ctx context.Context, s *grpcstore.Store, most time.Duration) error {
	timed, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	first := func(all []meta.Object) error {
		for _, o := range all {
			d.take(o.Key(), o)
		}
		return d.show()
	}
	err := d.p.changes(timed, s.Only(v1.NodeKind.Name, v1.TaskKind.Name), first, func(c store.Change) error {
		d.take(c.Key, c.Object)
		return d.show()
	})
	if d.p.live && d.said != "" {
		_, _ = fmt.Fprintln(d.p.err)
	}
	switch {
	case errors.Is(err, errSettled):
		d.p.printf("node/%s drained\n", d.node)
		return nil
	case late(ctx, timed, err):
		err := fmt.Errorf("node/%s is not drained after %s%s; it stays cordoned, and its tasks still go when they can", d.node, most, d.colon())
		return &exit{error: err, code: codeLate, try: fmt.Sprintf("warrenctl node uncordon %s, which ends the drain, or warrenctl node drain %s --force", d.node, d.node)}
	}
	return err
}

func (d *draining) colon() string {
	if d.said == "" {
		return ""
	}
	return ": " + strings.TrimPrefix(d.said, "node/"+d.node+": ")
}

func (d *draining) take(key meta.Key, o meta.Object) {
	switch x := o.(type) {
	case *v1.Node:
		if key.Name == d.node {
			d.spec = x
		}
	case *v1.Task:
		d.tasks[key.Name] = x
	default:
		if delete(d.tasks, key.Name); key.Kind == v1.NodeKind.Name && key.Name == d.node {
			d.spec = nil
		}
	}
}

// show prints how far it is; errSettled when nothing is left on the node.
func (d *draining) show() error {
	switch {
	case d.spec == nil:
		return &exit{error: fmt.Errorf("node %q was removed meanwhile", d.node), code: codeNo}
	case d.spec.Spec.Drain == "":
		return &exit{error: fmt.Errorf("the drain of node %q was ended by somebody else", d.node), code: codeNo}
	}
	left := d.left()
	if len(left) == 0 {
		return errSettled
	}
	line := clean(fmt.Sprintf("node/%s: %s left: %s", d.node, countOf(len(left), "task"), strings.Join(left[:min(len(left), 3)], "; ")))
	if more := len(left) - 3; more > 0 {
		line += fmt.Sprintf("; and %d more", more)
	}
	if line != d.said && d.p.live {
		_, _ = fmt.Fprintf(d.p.err, "\r\x1b[K%s", line)
	} else if line != d.said {
		d.p.note("%s", line)
	}
	d.said = line
	return nil
}

// left says of each task that still runs there what it waits for. On a node that is down nothing is waited for.
func (d *draining) left() []string {
	var stop, wait, turn []string
	for _, name := range meta.SortedKeys(d.tasks) {
		t := d.tasks[name]
		if t.Spec.Node != d.node || t.Status.Phase.Terminal() {
			continue
		}
		next := d.successor(t)
		switch {
		case !t.Metadata.Deleted.IsZero() && d.spec.Status.State == v1.NodeDown:
		case !t.Metadata.Deleted.IsZero():
			stop = append(stop, name+" stops")
		case next != nil:
			wait = append(wait, fmt.Sprintf("%s waits for its successor %s, which is %s", name, next.Metadata.Name, standing(next)))
		default:
			turn = append(turn, name+" waits for its turn")
		}
	}
	return append(append(wait, stop...), turn...)
}

// successor is the task that takes the place of another one, if there is one yet.
func (d *draining) successor(t *v1.Task) *v1.Task {
	for _, name := range meta.SortedKeys(d.tasks) {
		x := d.tasks[name]
		if x.Spec.Service == t.Spec.Service && x.Spec.Slot == t.Spec.Slot && x.Spec.OnlyNode == t.Spec.OnlyNode &&
			x.Spec.Node != d.node && x.Metadata.UID > t.Metadata.UID && x.Metadata.Deleted.IsZero() {
			return x
		}
	}
	return nil
}

func countOf(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
