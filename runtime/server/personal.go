package server

import (
	"context"
	"errors"
	"slices"
	"strings"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// personal is the store as a person sees and writes it who is no administrator. Whole kinds are seen or not, so nothing has to
// be decoded to tell.
type personal struct {
	store.Store
	who  caller
	tell func(from string, err error) error
}

func (p personal) sees(key meta.Key) bool {
	return p.who.role.AtLeast(rightsOf(key.Kind).see) || key == meta.Key{Kind: v1.UserKind.Name, Name: p.who.name}
}

// view is the store as the caller sees it, who asks for some kinds, or for all. Who asks for nothing but what is hidden from him
// is told so.
func (s *Server) view(ctx context.Context, kinds []string) (store.Store, error) {
	view, err := s.store(ctx)
	p, narrowed := view.(personal)
	hidden := func(kind string) bool { return kind != v1.UserKind.Name && !p.who.role.AtLeast(rightsOf(kind).see) }
	if !narrowed || len(kinds) == 0 || slices.ContainsFunc(kinds, func(k string) bool { return !hidden(k) }) {
		return view, err
	}
	return nil, p.refused(ctx, "see", meta.Key{Kind: kinds[0]})
}

// Get implements store.Store.
func (p personal) Get(ctx context.Context, key meta.Key) (meta.Object, error) {
	if !p.sees(key) {
		return nil, p.refused(ctx, "see", key)
	}
	return p.Store.Get(ctx, key)
}

func (p personal) refused(ctx context.Context, verb string, key meta.Key) error {
	what := strings.ToLower(key.Kind) + "s"
	if key.Name != "" {
		what = strings.ToLower(key.Kind) + "/" + key.Name
	}
	r := rightsOf(key.Kind)
	takes := map[string]v1.Role{"see": r.see, "write": r.write, "remove": r.remove}[verb]
	return p.tell(addressOf(ctx), p.who.refused("to "+verb+" "+what, takes))
}

// List implements store.Store.
func (p personal) List(ctx context.Context) ([]meta.Object, store.Revision, error) {
	all, rev, err := p.Store.List(ctx)
	return slices.DeleteFunc(all, func(o meta.Object) bool { return !p.sees(o.Key()) }), rev, err
}

// Pack implements store.Packer.
func (p personal) Pack(ctx context.Context, kinds ...string) ([]store.Packed, store.Revision, error) {
	all, rev, err := store.Pack(ctx, p.Store, kinds...)
	return slices.DeleteFunc(all, func(o store.Packed) bool { return !p.sees(o.Key) }), rev, err
}

// Watch implements store.Store. Every commit comes through, as with a View.
func (p personal) Watch(ctx context.Context, after store.Revision) <-chan store.Batch {
	in, out := p.Store.Watch(ctx, after), make(chan store.Batch)
	go func() {
		defer close(out)
		for b := range in {
			b.Changes = p.narrow(b.Changes)
			select {
			case out <- b:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// narrow copies: a batch may be others', too.
func (p personal) narrow(changes []store.Change) []store.Change {
	var out []store.Change
	for _, c := range changes {
		if p.sees(c.Key) {
			out = append(out, c)
		}
	}
	return out
}

// Commit implements store.Store. Nothing of it is done if one operation is not the person's to do.
func (p personal) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	var err error
	ops = slices.Clone(ops)
	for i, op := range ops {
		r := rightsOf(op.Key.Kind)
		verb, takes := "see", r.see
		switch op.Verb {
		case store.Check:
		case store.Delete:
			verb, takes = "remove", r.remove
		default:
			verb, takes = "write", r.write
		}
		if !p.who.role.AtLeast(takes) {
			return 0, p.refused(ctx, verb, op.Key)
		}
		if n, ok := op.Object.(*v1.Node); ok && op.Verb == store.Put && !p.who.role.AtLeast(v1.RoleAdmin) {
			if ops[i].Guard, err = p.node(ctx, n, op.Guard); err != nil {
				return 0, err
			}
		}
	}
	return p.Store.Commit(ctx, ops...)
}

// node refuses what makes a manager of a node, or a worker: who keeps the store is up to administrators. It returns the guard by
// which the node is still what was looked at.
func (p personal) node(ctx context.Context, n *v1.Node, guard store.Revision) (store.Revision, error) {
	o, err := p.Store.Get(ctx, n.Key())
	if errors.Is(err, store.ErrNotFound) {
		return guard, nil // nobody makes nodes so
	}
	if err != nil {
		return guard, err
	}
	if was := o.(*v1.Node); was.Spec.Role != n.Spec.Role {
		return guard, p.tell(addressOf(ctx), p.who.refused("to change the role of node/"+n.Metadata.Name, v1.RoleAdmin))
	}
	if guard == store.Any {
		guard = o.Meta().Revision
	}
	return guard, nil
}
