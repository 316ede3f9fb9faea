package main

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/go-logr/logr"

	v1 "warren.io/warren/apis/v1"
	keys "warren.io/warren/runtime/identity"
	"warren.io/warren/runtime/store/grpcstore"
)

// link is a worker's connection to whichever manager answers.
type link struct {
	store    *grpcstore.Store
	identity *keys.Node
	managers []string
	log      logr.Logger

	mu   sync.Mutex
	conn net.Conn // the newest
	next int      // which manager is tried first
}

func openLink(managers []string, dir string, log logr.Logger) (*link, error) {
	id, err := keys.OpenNode(dir)
	if err != nil {
		return nil, err
	}
	l := &link{identity: id, managers: managers, log: log}
	if len(managers) == 0 {
		return nil, errors.New("this node knows no manager: node.json is damaged; run warren reset and join anew")
	}
	l.store, err = grpcstore.Dial(managers[0], grpcstore.Options{TLS: id.TLS(), Dial: l.dial})
	return l, err
}

// dial connects to the first manager that answers, beginning with the one that did last.
func (l *link) dial(ctx context.Context) (net.Conn, error) {
	var all error
	for range l.managers {
		l.mu.Lock()
		address := l.managers[l.next%len(l.managers)]
		l.mu.Unlock()
		c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		l.mu.Lock()
		if err == nil {
			l.conn = c
			l.mu.Unlock()
			return c, nil
		}
		l.next++
		l.mu.Unlock()
		all = errors.Join(all, err)
	}
	return nil, all
}

// drop ends a connection on which nothing comes through, so that another is made: the kernel would try for minutes.
func (l *link) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		_ = l.conn.Close()
		l.next++
	}
}

// anew ends the connection, so that the next one shows the certificate that was just renewed: what a connection has shown counts
// for as long as it lasts.
func (l *link) anew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		_ = l.conn.Close()
	}
}

func (l *link) close() error { return l.store.Close() }

// again is the wait between two tries to get through.
const again = time.Second

// beat gives signs of life, and tells whether they are heard.
func (l *link) beat(ctx context.Context, pace <-chan time.Duration, tell func(error)) {
	every := v1.DefaultHeartbeat
	for ctx.Err() == nil {
		err := l.store.Heartbeat(ctx, &every, pace, func() { tell(nil) })
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, grpcstore.ErrSilent) {
			l.drop()
		}
		tell(err)
		sleep(ctx, again)
	}
}

// reach lets managers ask this node.
func (l *link) reach(ctx context.Context, serve func(net.Listener) error) {
	for ctx.Err() == nil {
		if err := l.store.Reach(ctx, serve); err != nil && ctx.Err() == nil {
			l.log.V(1).Info("managers cannot ask this node for now", "cause", err.Error())
		}
		sleep(ctx, again)
	}
}

// renewAgain is the wait after a renewal that failed; there are 45 days for it. With a certificate that has run out nothing else
// works, so the wait is short.
const renewAgain, renewSoon = time.Hour, 2 * time.Second

// renew keeps the certificate fresh.
func (l *link) renew(ctx context.Context) {
	told := false
	for wait := l.renewIn(); sleep(ctx, wait); wait = l.renewIn() {
		pause := renewAgain
		if l.identity.Expired() {
			pause = renewSoon
		}
		if _, err := l.renewNow(ctx); err != nil {
			if !told || pause == renewAgain {
				l.log.Error(err, "certificate is not renewed, trying again", "expires", l.identity.Expires(), "wait", pause.String())
			}
			told = true
			sleep(ctx, pause)
			continue
		}
		told = false
		l.anew()
		l.log.Info("certificate is renewed", "expires", l.identity.Expires())
	}
}

// renewIn is when the certificate is to be renewed: at once by one who was a manager.
func (l *link) renewIn() time.Duration {
	if l.identity.Role() != v1.RoleWorker {
		return 0
	}
	return l.identity.RenewIn()
}

func (l *link) renewNow(ctx context.Context) (grpcstore.Renewed, error) {
	csr, err := l.identity.Request()
	if err != nil {
		return grpcstore.Renewed{}, err
	}
	r, err := l.store.Renew(ctx, csr)
	if err != nil {
		return r, err
	}
	return r, l.identity.Renewed(r.Certificate)
}

// sleep is false when ctx ended meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
