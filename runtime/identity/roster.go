package identity

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"sync"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// Roster is which key each node of the cluster has, in memory and as new as the store's watch. A certificate holds for weeks;
// whether its node is still one, and whether its name is still that of the same machine, is looked up here.
type Roster struct {
	// Gone is called when a node is no more, or has another key: connections with other keys than that are to be ended.
	// It is called in the order of the changes and should be quick.
	Gone func(node, key string)

	mu   sync.RWMutex
	keys map[string]string // by node; "" for the first manager, whose key nobody but the authority itself has certified
}

// KeyOf names the key of a certificate as Node.status.identity does.
func KeyOf(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// Knows tells whether a certificate is that of a node of the cluster. Those that are known cost one look into memory. Others are
// looked for in the store: one that has joined at another manager a moment ago may not have come through the watch yet.
func (r *Roster) Knows(ctx context.Context, c *x509.Certificate, s store.Store) (bool, error) {
	name, key := c.Subject.CommonName, KeyOf(c)
	r.mu.RLock()
	have, known := r.keys[name]
	r.mu.RUnlock()
	if known && fits(have, key, c) {
		return true, nil
	}
	o, err := s.Get(ctx, meta.Key{Kind: v1.NodeKind.Name, Name: name})
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return fits(o.(*v1.Node).Status.Identity, key, c), nil
}

// Differs tells whether a certificate is certainly not that of the node of its name: another key is known of it. It looks
// into memory only, since what keeps the store asks it, too.
func (r *Roster) Differs(c *x509.Certificate) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	have, known := r.keys[c.Subject.CommonName]
	return known && !fits(have, KeyOf(c), c)
}

// fits compares a key with the one that a node joined with. The first manager did not join: only the authority vouches for it.
func fits(have, key string, c *x509.Certificate) bool {
	return have == key || have == "" && roleOf(c) == v1.RoleManager
}

// again is the wait after the watch of a roster was lost.
const again = time.Second

// Follow keeps the roster as the store is until ctx ends.
func (r *Roster) Follow(ctx context.Context, s store.Store) {
	for ctx.Err() == nil {
		all, rev, err := s.List(ctx)
		if err == nil {
			r.replace(all)
			r.watch(s.Watch(ctx, rev))
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
		}
	}
}

func (r *Roster) watch(batches <-chan store.Batch) {
	for b := range batches {
		for _, c := range b.Changes {
			if c.Key.Kind == v1.NodeKind.Name {
				r.note(c.Key.Name, c.Object)
			}
		}
		if b.Err != nil {
			return
		}
	}
}

// replace takes in a list: what is not in it is gone.
func (r *Roster) replace(all []meta.Object) {
	there := map[string]bool{}
	for _, o := range all {
		if n, ok := o.(*v1.Node); ok {
			there[n.Metadata.Name] = true
			r.note(n.Metadata.Name, n)
		}
	}
	r.mu.RLock()
	var gone []string
	for name := range r.keys {
		if !there[name] {
			gone = append(gone, name)
		}
	}
	r.mu.RUnlock()
	for _, name := range gone {
		r.note(name, nil)
	}
}

func (r *Roster) note(name string, o meta.Object) {
	n, is := o.(*v1.Node)
	r.mu.Lock()
	was, known := r.keys[name]
	if r.keys == nil {
		r.keys = map[string]string{}
	}
	key := ""
	if is {
		key = n.Status.Identity
		r.keys[name] = key
	} else {
		delete(r.keys, name)
	}
	r.mu.Unlock()
	if known && (!is || was != "" && was != key) && r.Gone != nil {
		r.Gone(name, key)
	}
}
