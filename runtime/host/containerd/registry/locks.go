package registry

import (
	"context"
	"sync"
)

// Locks let one at a time work on a key. The zero value is ready. Pulls that need the same content use them so that one
// fetches it and the others find it there.
type Locks struct {
	mu   sync.Mutex
	held map[string]*held
}

type held struct {
	token chan struct{} // has an element while somebody works
	users int           // who work or wait
}

// Lock waits for its turn, or for the end of ctx.
func (l *Locks) Lock(ctx context.Context, key string) error {
	h := l.join(key)
	select {
	case h.token <- struct{}{}:
		return nil
	case <-ctx.Done():
		l.leave(key)
		return ctx.Err()
	}
}

// Unlock gives the turn to the next.
func (l *Locks) Unlock(key string) {
	l.mu.Lock()
	h := l.held[key]
	l.mu.Unlock()
	<-h.token
	l.leave(key)
}

func (l *Locks) join(key string) *held {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[string]*held{}
	}
	h := l.held[key]
	if h == nil {
		h = &held{token: make(chan struct{}, 1)}
		l.held[key] = h
	}
	h.users++
	return h
}

func (l *Locks) leave(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.held[key]; h.users > 1 {
		h.users--
	} else {
		delete(l.held, key)
	}
}
