package warrenctl

import (
	"context"
	"fmt"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/store/grpcstore"
)

// watchImages prints what is there, then a line whenever a pull is further by a percent or more, or over.
func (p *program) watchImages(ctx context.Context, s *grpcstore.Store) error {
	first, widths, said := true, []int(nil), map[string]string{}
	print := func(items []imageItem) {
		t := p.imageRows(items, false)
		if first {
			t = append(table{imageHead}, t...)
		}
		widths = wider(widths, t.widths())
		t.printAligned(p.out, widths)
		first = false
	}
	return s.WatchPulls(ctx, func(all []host.Pull) error {
		items, err := p.newsOfImages(ctx, s, all, said, first)
		if err == nil && (len(items) > 0 || first) {
			print(items)
		}
		return err
	})
}

// newsOfImages are the pulls that say something else than before, and of those that are over the images; all at first.
func (p *program) newsOfImages(ctx context.Context, s *grpcstore.Store, all []host.Pull, said map[string]string, first bool) ([]imageItem, error) {
	var items, fetched []imageItem
	going := map[string]bool{}
	for _, u := range all {
		going[u.Name] = true
		if status := pullPercent(u); said[u.Name] != status {
			said[u.Name] = status
			fetched = append(fetched, itemOf(u))
		}
	}
	over := map[string]bool{}
	for name := range said {
		if !going[name] {
			over[name] = true
			delete(said, name)
		}
	}
	if len(over) == 0 && !first {
		return fetched, nil
	}
	here, err := s.ListImages(ctx)
	for _, i := range here {
		if first || over[i.Name] {
			items = append(items, imageItem{Image: i})
		}
	}
	return append(items, fetched...), err
}

// pullPercent is what makes a line worth printing.
func pullPercent(u host.Pull) string {
	return fmt.Sprint(u.Phase, 100*u.Done/max(u.Total, 1))
}

func wider(a, b []int) []int {
	for i := range b {
		if i < len(a) {
			b[i] = max(a[i], b[i])
		}
	}
	return b
}
