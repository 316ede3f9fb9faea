package server

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// roll knows who is a user now. It follows the store from when it is first asked, so that a call costs no read, and so that
// users are known also while the store cannot be asked. Connections of somebody who is no user any more are cut.
type roll struct {
	store    store.Store
	now      func() time.Time
	stopping context.Context
	running  *sync.WaitGroup
	expel    func(name string, stays func(*x509.Certificate) bool) (ended int)

	begin sync.Once
	ready chan struct{} // closed when users is there

	mu    sync.Mutex
	users map[string]*v1.User
	early map[string]bool // those whom calls found in the store before they came here
}

// rollWithin is how long a call waits to learn who the users are.
const rollWithin = 5 * time.Second

// role is what the holder of a user's certificate may do, or why that is nothing.
func (r *roll) role(ctx context.Context, cert *x509.Certificate) (v1.Role, error) {
	name := cert.Subject.CommonName
	if r.now().After(cert.NotAfter) {
		return "", fmt.Errorf("%w: the certificate of %s has expired at %s\ntry: warrenctl login with a new token; an administrator makes it with warrenctl token create --user %s",
			store.ErrForbidden, name, cert.NotAfter.UTC().Format(time.RFC3339), name)
	}
	u, err := r.find(ctx, name)
	if err == nil && !isOf(cert, u) {
		// the login may be newer than what has come here of it
		var o meta.Object
		if o, err = r.store.Get(ctx, meta.Key{Kind: v1.UserKind.Name, Name: name}); err == nil {
			u, _ = o.(*v1.User)
			r.mu.Lock()
			r.early[name] = true
			r.mu.Unlock()
		} else if errors.Is(err, store.ErrNotFound) {
			u, err = nil, nil
		}
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("who is %s: %w", name, err)
	case u == nil:
		return "", fmt.Errorf("%w: %s is no user of this cluster any more\ntry: warrenctl login with a token that an administrator makes", store.ErrForbidden, name)
	case !isOf(cert, u):
		return "", fmt.Errorf("%w: %s has logged in with another key since\ntry: warrenctl login with a token that an administrator makes", store.ErrForbidden, name)
	}
	return u.Spec.Role, nil
}

// isOf tells whether a certificate is for the key that a user logged in with.
func isOf(cert *x509.Certificate, u *v1.User) bool {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return u != nil && u.Status.Identity == hex.EncodeToString(sum[:])
}

func (r *roll) find(ctx context.Context, name string) (*v1.User, error) {
	r.begin.Do(func() { r.running.Go(r.follow) })
	late := time.NewTimer(rollWithin)
	defer late.Stop()
	select {
	case <-r.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-late.C:
		return nil, fmt.Errorf("the cluster's users are not known yet: %w", store.ErrUnavailable)
	case <-r.stopping.Done():
		return nil, errStopping
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.users[name], nil
}

// rollAgain is how long to wait with a store that does not answer.
const rollAgain = 200 * time.Millisecond

// follow keeps the users current until the server stops.
func (r *roll) follow() {
	for r.stopping.Err() == nil {
		_ = r.read() // it says nothing that calls do not
		select {
		case <-r.stopping.Done():
		case <-time.After(rollAgain):
		}
	}
}

// read takes all users, and then each change, until the store has no more to say.
func (r *roll) read() error {
	all, rev, err := store.Pack(r.stopping, r.store, v1.UserKind.Name)
	if err != nil {
		return err
	}
	users := map[string]*v1.User{}
	for _, p := range all {
		u := meta.New[v1.User](p.Key.Name)
		if json.Unmarshal(p.JSON, u) == nil {
			users[p.Key.Name] = u
		}
	}
	r.replace(users)
	ctx, cancel := context.WithCancel(r.stopping)
	defer cancel()
	for b := range r.store.Watch(ctx, rev) {
		if b.Err != nil {
			return b.Err
		}
		for _, c := range b.Changes {
			if c.Key.Kind == v1.UserKind.Name {
				u, _ := c.Object.(*v1.User)
				r.change(c.Key.Name, u)
			}
		}
	}
	return nil
}

func (r *roll) replace(users map[string]*v1.User) {
	r.mu.Lock()
	first, names := r.users == nil, map[string]bool{}
	for name := range r.users {
		names[name] = true
	}
	for name := range users {
		names[name] = true
	}
	for name := range r.early {
		names[name] = true
	}
	r.early = map[string]bool{}
	r.mu.Unlock()
	for name := range names {
		r.change(name, users[name])
	}
	if first {
		close(r.ready)
	}
}

// change takes what is new of a user, nil when he is none any more. Who may now do something else connects anew: what he began
// under his old role ends.
func (r *roll) change(name string, u *v1.User) {
	r.mu.Lock()
	was := r.users[name]
	if r.users == nil {
		r.users = map[string]*v1.User{}
	}
	if r.users[name] = u; u == nil {
		delete(r.users, name)
	}
	r.mu.Unlock()
	r.expel(name, func(cert *x509.Certificate) bool {
		who := subject(cert.Subject.CommonName, cert.Subject.Organization)
		return !who.user || isOf(cert, u) && (was == nil || was.Spec.Role == u.Spec.Role)
	})
}
