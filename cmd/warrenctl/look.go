package warrenctl

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

// span are two span at what a node uses.
type span struct{ before, now host.Usage }

// lookWithin is how long a node may take to answer; the others are shown without it.
const lookWithin = 5 * time.Second

// lookedAt are the nodes to ask: one by name, or all that live.
func (p *program) lookedAt(ctx context.Context, s *grpcstore.Store, name string) ([]string, error) {
	if name != "" {
		return []string{""}, nil // all that is asked is for it
	}
	all, _, err := s.Only(v1.NodeKind.Name).List(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, o := range all {
		if n := o.(*v1.Node); n.Status.State != v1.NodeDown {
			names = append(names, n.Metadata.Name)
		} else {
			p.note("node %s is Down and is not asked", n.Metadata.Name)
		}
	}
	if len(names) < 2 {
		return []string{""}, nil // the one that is asked
	}
	return names, nil
}

// look asks nodes what they use, all at once. One that does not answer is told of; that nobody does is an error.
func (p *program) look(ctx context.Context, s *grpcstore.Store, nodes []string) (out []host.Usage, err error) {
	var work sync.WaitGroup
	answers, errs := make([]host.Usage, len(nodes)), make([]error, len(nodes))
	for i, name := range nodes {
		work.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, lookWithin)
			defer cancel()
			if name != "" {
				ctx = grpcstore.ForNode(ctx, name)
			}
			answers[i], errs[i] = s.Usage(ctx)
		})
	}
	work.Wait()
	for i, name := range nodes {
		if errs[i] == nil {
			out = append(out, answers[i])
			continue
		}
		if err = errs[i]; len(nodes) > 1 && ctx.Err() == nil && !errors.Is(err, store.ErrForbidden) {
			line, _, _ := strings.Cut(err.Error(), "\n")
			p.note("node %s does not answer: %s", name, line)
		}
	}
	if len(out) == 0 {
		return nil, err
	}
	return out, nil
}

// spans are the looks at those nodes that answered twice.
func spans(before, now []host.Usage) (out []span) {
	for _, n := range now {
		if i := slices.IndexFunc(before, func(b host.Usage) bool { return b.Node == n.Node }); i >= 0 {
			out = append(out, span{before[i], n})
		}
	}
	return out
}
