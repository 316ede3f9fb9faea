package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
)

// bound is a sealer that one can look through: it shows what each value is bound to.
type bound struct {
	locked bool
	times  int
}

func (b *bound) Seal(plain, about []byte) (string, error) {
	if b.locked {
		return "", errors.New("locked")
	}
	b.times++
	return fmt.Sprintf("%d|%s|%x", b.times, about, plain), nil
}

func (b *bound) Open(sealed string, about []byte) ([]byte, error) {
	parts := strings.Split(sealed, "|")
	if b.locked || len(parts) != 3 || parts[1] != string(about) {
		return nil, errors.New("it does not open")
	}
	var plain []byte
	_, err := fmt.Sscanf(parts[2], "%x", &plain)
	return plain, err
}

func authority(generation int64, secret string) *v1.Authority {
	a := meta.New[v1.Authority]("cluster")
	a.Metadata.Generation = generation
	a.Spec.Key.Plain = []byte(secret)
	a.Spec.DataKey = "wrapped"
	return a
}

func TestSeal(t *testing.T) {
	mem, by := memstore.New(), &bound{}
	s, ctx := store.Seal(mem, by), t.Context()
	watch := s.Watch(ctx, 1)
	must := func(op store.Op) {
		t.Helper()
		if _, err := s.Commit(ctx, op); err != nil {
			t.Fatal(err)
		}
	}
	must(store.CreateOp(authority(1, "s3cr3t")))
	get := func(from store.Store) *v1.Authority {
		t.Helper()
		o, err := from.Get(ctx, meta.Key{Kind: "Authority", Name: "cluster"})
		if err != nil {
			t.Fatal(err)
		}
		return o.(*v1.Authority)
	}
	if a := get(mem); a.Spec.Key.Plain != nil || !strings.Contains(a.Spec.Key.Sealed, `["warren secret 1","Authority","cluster","spec.key",1]`) {
		t.Errorf("in the store below: %q %q", a.Spec.Key.Plain, a.Spec.Key.Sealed)
	}
	all, _, err := s.List(ctx)
	if err != nil || string(all[0].(*v1.Authority).Spec.Key.Plain) != "s3cr3t" || string(get(s).Spec.Key.Plain) != "s3cr3t" {
		t.Errorf("%v, %v", all, err)
	}
	if b := <-watch; string(b.Changes[0].Object.(*v1.Authority).Spec.Key.Plain) != "s3cr3t" {
		t.Errorf("watched: %+v", b)
	}
	was := get(mem).Spec.Key.Sealed
	must(store.UpdateOp(get(s)))
	if now := get(mem).Spec.Key.Sealed; now != was {
		t.Error("what did not change was sealed anew")
	}
	next := get(s).Clone().(*v1.Authority)
	next.Metadata.Generation, next.Spec.Certificate = 2, "new"
	must(store.UpdateOp(next))
	if now := get(mem).Spec.Key.Sealed; now == was || string(get(s).Spec.Key.Plain) != "s3cr3t" {
		t.Error("in a new generation the secret is bound to the old one")
	}
	back := get(mem).Clone().(*v1.Authority) // by somebody who writes below
	back.Spec.Key.Sealed = was
	if _, err := mem.Commit(ctx, store.UpdateOp(back)); err != nil {
		t.Fatal(err)
	}
	if a := get(s); a.Spec.Key.Plain != nil || a.Spec.Certificate != "new" {
		t.Errorf("an old secret in a later spec opens: %+v", a.Spec)
	}
}

// TestSealLocked: without the key everything else can be read, and what is there can stay; nothing is stored unsealed.
func TestSealLocked(t *testing.T) {
	mem, by := memstore.New(), &bound{}
	s, ctx := store.Seal(mem, by), t.Context()
	if _, err := s.Commit(ctx, store.CreateOp(authority(1, "s3cr3t"))); err != nil {
		t.Fatal(err)
	}
	by.locked = true
	all, _, err := s.List(ctx)
	if err != nil || len(all) != 1 || all[0].(*v1.Authority).Spec.Key.Plain != nil {
		t.Fatalf("%v %v", all, err)
	}
	if _, err := s.Commit(ctx, store.CreateOp(meta.New[v1.Service]("web"))); err != nil {
		t.Errorf("what has no secrets: %v", err)
	}
	other := authority(2, "other")
	other.Metadata.Name = "other"
	if _, err := s.Commit(ctx, store.CreateOp(other)); err == nil {
		t.Error("a secret is stored while all is locked")
	}
}

// TestVeil: whatever way it is read, nothing sealed is in it.
func TestVeil(t *testing.T) {
	mem := memstore.New()
	s := store.Veil(store.Seal(mem, &bound{}), v1.Kinds)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	watch := s.Watch(ctx, 1)
	if _, err := s.Commit(ctx, store.CreateOp(authority(1, "s3cr3t"))); err != nil {
		t.Fatal(err)
	}
	key := meta.Key{Kind: "Authority", Name: "cluster"}
	if o, _ := mem.Get(ctx, key); o.(*v1.Authority).Spec.Key.Sealed == "" {
		t.Fatal("nothing is sealed")
	}
	one, err := s.Get(ctx, key)
	all, _, err2 := s.List(ctx)
	packed, _, err3 := store.Pack(ctx, s)
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	for what, o := range map[string]meta.Object{"get": one, "list": all[0], "watch": (<-watch).Changes[0].Object} {
		a := o.(*v1.Authority)
		if a.Spec.Key.Plain != nil || a.Spec.Key.Sealed != "" || a.Spec.DataKey != "" {
			t.Errorf("%s shows %+v", what, a.Spec)
		}
	}
	if len(packed) != 1 || bytes.Contains(packed[0].JSON, []byte("sealed")) || bytes.Contains(packed[0].JSON, []byte("wrapped")) {
		t.Errorf("packed: %s", packed[0].JSON)
	}
	if text := fmt.Sprintf("%v %+v %s %#v", authority(1, "s3cr3t").Spec, authority(1, "s3cr3t"), authority(1, "s3cr3t").Spec.Key, authority(1, "s3cr3t").Spec.Key); strings.Contains(text, "s3cr3t") || strings.Contains(text, "115") {
		t.Error("printed: ", text)
	}
	if _, err := store.Admit(s, v1.Kinds, nil).Commit(ctx, store.DeleteOp(one)); !errors.Is(err, store.ErrForbidden) {
		t.Errorf("deleted by a person: %v", err)
	}
	if _, err := store.Admit(s, v1.Kinds, nil).Commit(ctx, store.UpdateOp(one)); !errors.Is(err, store.ErrForbidden) {
		t.Errorf("written by a person: %v", err)
	}
}
