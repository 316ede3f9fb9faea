package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"warren.io/warren/apis/meta"
)

// Sealer encrypts small values and opens them again; about is what each is bound to.
type Sealer interface {
	Seal(plain, about []byte) (string, error)
	Open(sealed string, about []byte) ([]byte, error)
}

// Seal returns a store whose secrets are encrypted in the store below it. Each is bound to the kind, the name and the generation of its
// object and to its field: moved elsewhere, or put back into a later spec, it does not open. What cannot be opened is there all
// the same, with nothing in Plain: one secret that is damaged or locked keeps nobody from the rest.
func Seal(inner Store, by Sealer) Store { return &sealed{inner, by} }

type sealed struct {
	Store
	by Sealer
}

// about is what a secret is bound to, unambiguously.
func about(o meta.Object, field string) []byte {
	text, _ := json.Marshal([]any{"warren secret 1", o.Key().Kind, o.Key().Name, field, o.Meta().Generation})
	return text
}

func (s *sealed) open(o meta.Object) meta.Object { return Opened(o, s.by) }

// Opened returns an object as it is stored with its secrets opened, where that is possible.
func Opened(o meta.Object, by Sealer) meta.Object {
	if o == nil || len(meta.SecretsOf(o)) == 0 {
		return o
	}
	o = o.Clone()
	for field, x := range meta.SecretsOf(o) {
		x.Plain = nil
		if x.Sealed != "" {
			x.Plain, _ = by.Open(x.Sealed, about(o, field))
		}
	}
	return o
}

// Get implements Store.
func (s *sealed) Get(ctx context.Context, key meta.Key) (meta.Object, error) {
	o, err := s.Store.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	return s.open(o), nil
}

// List implements Store.
func (s *sealed) List(ctx context.Context) ([]meta.Object, Revision, error) {
	all, rev, err := s.Store.List(ctx)
	return mapped(all, s.open), rev, err
}

// Pack implements Packer. What is passed on as JSON stays sealed.
func (s *sealed) Pack(ctx context.Context, kinds ...string) ([]Packed, Revision, error) {
	return Pack(ctx, s.Store, kinds...)
}

// Watch implements Store.
func (s *sealed) Watch(ctx context.Context, after Revision) <-chan Batch {
	return changed(ctx, s.Store.Watch(ctx, after), s.open)
}

// Commit implements Store.
func (s *sealed) Commit(ctx context.Context, ops ...Op) (Revision, error) {
	ops = slices.Clone(ops)
	for i, op := range ops {
		if op.Verb != Put || len(meta.SecretsOf(op.Object)) == 0 {
			continue
		}
		o := op.Object.Clone()
		for field, x := range meta.SecretsOf(o) {
			if err := s.close(o, field, x); err != nil {
				return 0, fmt.Errorf("seal %s of %s: %w", field, op.Key, err)
			}
		}
		ops[i].Object = o
	}
	return s.Store.Commit(ctx, ops...)
}

// close seals a secret. One that says what it said when it was sealed, in the same generation, stays as it is: what did not
// change is not written anew. One that could not be opened here may stay as it is, if it is still what it is bound to.
func (s *sealed) close(o meta.Object, field string, x *meta.Secret) error {
	if x.Sealed != "" {
		was, err := s.by.Open(x.Sealed, about(o, field))
		if err == nil && (x.Plain == nil || bytes.Equal(was, x.Plain)) {
			x.Plain = nil
			return nil
		}
		if x.Plain == nil {
			return err
		}
	}
	if x.Plain == nil {
		return nil
	}
	text, err := s.by.Seal(x.Plain, about(o, field))
	*x = meta.Secret{Sealed: text}
	return err
}

// Veil returns a store as it may be shown: nothing that is read has anything sealed in it. Commits pass as they are.
func Veil(inner Store, kinds meta.Kinds) Store { return &veil{inner, kinds} }

type veil struct {
	Store
	kinds meta.Kinds
}

func veiled(o meta.Object) meta.Object {
	if o == nil {
		return nil
	}
	return meta.Veil(o)
}

// Get implements Store.
func (v *veil) Get(ctx context.Context, key meta.Key) (meta.Object, error) {
	o, err := v.Store.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	return veiled(o), nil
}

// List implements Store.
func (v *veil) List(ctx context.Context) ([]meta.Object, Revision, error) {
	all, rev, err := v.Store.List(ctx)
	return mapped(all, veiled), rev, err
}

// Watch implements Store.
func (v *veil) Watch(ctx context.Context, after Revision) <-chan Batch {
	return changed(ctx, v.Store.Watch(ctx, after), veiled)
}

// Pack implements Packer.
func (v *veil) Pack(ctx context.Context, kinds ...string) ([]Packed, Revision, error) {
	all, rev, err := Pack(ctx, v.Store, kinds...)
	for i, p := range all {
		k, ok := v.kinds.ByName(p.Key.Kind)
		if !ok || meta.SecretsOf(k.New()) == nil {
			continue
		}
		o, err := v.kinds.Decode(p.JSON)
		if err != nil {
			return nil, 0, fmt.Errorf("read %s: %w", p.Key, err)
		}
		if all[i].JSON, err = meta.Encode(meta.Veil(o)); err != nil {
			return nil, 0, err
		}
	}
	return all, rev, err
}

func mapped(all []meta.Object, f func(meta.Object) meta.Object) []meta.Object {
	out := slices.Clone(all)
	for i, o := range out {
		out[i] = f(o)
	}
	return out
}

// changed passes a watch on with every object as f makes it.
func changed(ctx context.Context, in <-chan Batch, f func(meta.Object) meta.Object) <-chan Batch {
	out := make(chan Batch)
	go func() {
		defer close(out)
		for b := range in {
			b.Changes = slices.Clone(b.Changes)
			for i := range b.Changes {
				b.Changes[i].Object = f(b.Changes[i].Object)
			}
			select {
			case out <- b:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
