package warrenctl

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/cmd/warrenctl/jsonpath"
	"warren.io/warren/runtime/manifest"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

// changes calls first with everything and then each with every change, over lost connections and compactions: it lists
// again and reports as changes what is different. It ends with ctx or with an error of first or each.
func (p *program) changes(ctx context.Context, s store.Store, first func([]meta.Object) error, each func(store.Change) error) error {
	seen := map[meta.Key]meta.Object{}
	begun := false
	for {
		objects, rev, err := s.List(ctx)
		switch {
		case err != nil && begun && errors.Is(err, store.ErrUnavailable) && ctx.Err() == nil:
			if err := pause(ctx); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		case !begun:
			begun = true
			for _, o := range objects {
				seen[o.Key()] = o
			}
			err = first(objects)
		default:
			err = differences(seen, objects, each)
		}
		if err != nil {
			return err
		}
		if err := p.follow(ctx, s, rev, seen, each); err != nil {
			return err
		}
	}
}

// follow passes changes on until the watch breaks, which is no error.
func (p *program) follow(ctx context.Context, s store.Store, after store.Revision, seen map[meta.Key]meta.Object, each func(store.Change) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for b := range s.Watch(ctx, after) {
		if b.Err != nil {
			if errors.Is(b.Err, store.ErrCompacted) || errors.Is(b.Err, store.ErrUnavailable) {
				if errors.Is(b.Err, store.ErrUnavailable) {
					p.note("%v; waiting for it", b.Err)
				}
				return nil
			}
			return b.Err
		}
		for _, c := range b.Changes {
			if err := pass(seen, c, each); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// pass reports a change unless it is about something that was never seen.
func pass(seen map[meta.Key]meta.Object, c store.Change, each func(store.Change) error) error {
	was, known := seen[c.Key]
	switch {
	case c.Object == nil && !known:
		return nil
	case c.Object == nil:
		delete(seen, c.Key)
	case known && was.Meta().Revision == c.Object.Meta().Revision:
		return nil
	default:
		seen[c.Key] = c.Object
	}
	return each(c)
}

// differences reports what changed while nobody watched.
func differences(seen map[meta.Key]meta.Object, now []meta.Object, each func(store.Change) error) error {
	there := map[meta.Key]bool{}
	for _, o := range now {
		there[o.Key()] = true
		if err := pass(seen, store.Change{Key: o.Key(), Object: o}, each); err != nil {
			return err
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(seen), byKey) {
		if !there[key] {
			if err := pass(seen, store.Change{Key: key}, each); err != nil {
				return err
			}
		}
	}
	return nil
}

func byKey(a, b meta.Key) int { return strings.Compare(a.String(), b.String()) }

// pause is the time between two attempts to reach a node that is away.
func pause(ctx context.Context) error {
	t := time.NewTimer(300 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watch prints what there is, then one line for each change.
func (p *program) watch(ctx context.Context, s *grpcstore.Store, q *query) error {
	widths := map[string][]int{}
	first := func(objects []meta.Object) error {
		var mine []meta.Object
		for _, o := range objects {
			if q.wants(o.Key()) {
				mine = append(mine, o)
			}
		}
		return p.first(q, mine, widths)
	}
	return p.changes(ctx, q.view(s), first, func(c store.Change) error {
		if !q.wants(c.Key) {
			return nil
		}
		return p.change(q, c, widths)
	})
}

func (p *program) first(q *query, objects []meta.Object, widths map[string][]int) error {
	if q.output == "custom-columns" {
		t := q.custom(objects...)
		widths[""] = t.widths()
		t.printAligned(p.out, widths[""])
		return nil
	}
	if q.output != "" && q.output != "wide" {
		for _, o := range objects {
			if err := p.change(q, store.Change{Key: o.Key(), Object: o}, widths); err != nil {
				return err
			}
		}
		return nil
	}
	for _, k := range q.kinds {
		t := table{head(k, q.output == "wide")}
		own := sorted(k, ofKind(k, objects))
		for _, o := range own {
			t = append(t, row(k, o, q.prefix(k), q.output == "wide", p.now()))
		}
		if grow(widths, k, t); len(own) > 0 || !q.prefixed {
			t.printAligned(p.out, widths[k.Name])
		}
	}
	return nil
}

// room is left in each column for what may come: most words of a status have no more letters.
const room = len("Preparing")

// grow makes the columns of a kind wide enough for some rows; they never become narrower.
func grow(widths map[string][]int, k *meta.Kind, rows table) {
	for i, n := range rows.widths() {
		if i == len(widths[k.Name]) {
			widths[k.Name] = append(widths[k.Name], room)
		}
		widths[k.Name][i] = max(widths[k.Name][i], n)
	}
}

// change prints one; what is gone is said so, in tables and with names.
func (p *program) change(q *query, c store.Change, widths map[string][]int) error {
	k, ok := v1.Kinds.ByName(c.Key.Kind)
	if !ok {
		return nil
	}
	var text []byte
	var err error
	switch {
	case c.Object == nil && q.output == "name":
		p.printf("%s deleted\n", lower(c.Key.Kind, c.Key.Name))
	case q.output == "name":
		p.printf("%s\n", lower(c.Key.Kind, c.Key.Name))
	case c.Object == nil && q.output != "" && q.output != "wide":
		p.note("%s deleted", lower(c.Key.Kind, c.Key.Name))
	case q.output == "jsonpath":
		err = p.filled(q, jsonpath.Of(c.Object))
	case q.output == "custom-columns":
		q.custom(c.Object)[1:].printAligned(p.out, widths[""])
	case q.output == "json":
		err = writeJSON(p.out, []meta.Object{c.Object}, true)
	case q.output == "yaml":
		text, err = manifest.YAML(c.Object)
		text = append([]byte("---\n"), text...)
	case c.Object == nil:
		table{{q.prefix(k) + c.Key.Name, "Deleted"}}.printAligned(p.out, widths[k.Name])
	default:
		t := table{row(k, c.Object, q.prefix(k), q.output == "wide", p.now())}
		grow(widths, k, t)
		t.printAligned(p.out, widths[k.Name])
	}
	p.printf("%s", text)
	return err
}
