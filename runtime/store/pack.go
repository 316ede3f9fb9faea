package store

import (
	"context"
	"slices"

	"warren.io/warren/apis/meta"
)

// Packed is an object as JSON, as meta.Encode writes it.
type Packed struct {
	Key  meta.Key
	JSON []byte
}

// Packer is what a store may offer beside Store: the same as List, of some kinds or, without any, of all, but as JSON and
// without decoding what is only passed on. What it gives may be unreadable; the reader finds out.
type Packer interface {
	Pack(ctx context.Context, kinds ...string) ([]Packed, Revision, error)
}

// Pack lists objects of some kinds, or of all, as JSON. It is cheap where the store is a Packer.
func Pack(ctx context.Context, s Store, kinds ...string) ([]Packed, Revision, error) {
	if p, ok := s.(Packer); ok {
		return p.Pack(ctx, kinds...)
	}
	all, rev, err := s.List(ctx)
	if err != nil {
		return nil, 0, err
	}
	var out []Packed
	for _, o := range all {
		key := o.Key()
		if len(kinds) > 0 && !slices.Contains(kinds, key.Kind) {
			continue
		}
		data, err := meta.Encode(o)
		if err != nil {
			return nil, 0, err
		}
		out = append(out, Packed{key, data})
	}
	return out, rev, nil
}

// Pack implements Packer.
func (l *Late) Pack(ctx context.Context, kinds ...string) ([]Packed, Revision, error) {
	s, err := l.open()
	if err != nil {
		return nil, 0, err
	}
	return Pack(ctx, s, kinds...)
}

// Pack implements Packer.
func (a *admitted) Pack(ctx context.Context, kinds ...string) ([]Packed, Revision, error) {
	return Pack(ctx, a.Store, kinds...)
}
