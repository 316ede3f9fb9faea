package main

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	keys "warren.io/warren/runtime/identity"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

// link is a worker's connection to whichever manager answers.
type link struct {
	store    *grpcstore.Store
	identity *keys.Node
	save     func(managers []string) error
	log      logr.Logger

	hurry   chan struct{} // another authority signs now
	renewed func()        // is called when the certificate is renewed

	mu       sync.Mutex
	managers []string
	saved    []string
	next     int           // which manager is tried first
	conn     net.Conn      // the newest, to that manager
	since    time.Time     // when it was made
	proved   bool          // it was of use
	moved    chan struct{} // closed when managers changes
	fresh    chan struct{} // closed when the certificate was renewed
}

func openLink(managers []string, dir string, save func([]string) error, log logr.Logger) (*link, error) {
	id, err := keys.OpenNode(dir)
	if err != nil {
		return nil, err
	}
	l := &link{identity: id, managers: managers, saved: managers, save: save, log: log, moved: make(chan struct{}), fresh: make(chan struct{}),
		hurry: make(chan struct{}, 1), renewed: func() {}}
	if len(managers) == 0 {
		return nil, errors.New("this node knows no manager: node.json is damaged; run warren reset and join anew")
	}
	l.store, err = grpcstore.Dial(managers[0], grpcstore.Options{TLS: id.TLS(), Dial: l.dial})
	return l, err
}

// dialWithin bounds the wait for one manager, so that there is time for the others. One that is switched off says nothing.
const dialWithin = 2 * time.Second

// dial connects to the first manager that answers, beginning with the one that did last. A connection that came to nothing, as
// with a process that stands still, is no reason to begin with it.
func (l *link) dial(ctx context.Context) (net.Conn, error) {
	l.mu.Lock()
	if l.conn != nil && !l.proved {
		l.move()
	}
	tries := len(l.managers)
	l.mu.Unlock()
	var all error
	for range tries {
		c, err := l.dialOne(ctx)
		if err == nil {
			return c, nil
		}
		all = errors.Join(all, err)
	}
	return nil, all
}

func (l *link) dialOne(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	address := l.current()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.move()
		return nil, err
	}
	l.conn, l.since, l.proved = c, time.Now(), false
	return c, nil
}

// move makes another manager the first to be tried.
func (l *link) move() { l.next, l.conn = (l.next+1)%len(l.managers), nil }

func (l *link) current() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.managers[l.next%len(l.managers)]
}

// addresses are where the managers are, as far as this node knows.
func (l *link) addresses() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.managers
}

// drop ends a connection on which nothing comes through, so that another is made: the kernel would try for minutes. Only, if
// not nil, is the one that was found wanting: there may be a newer one by now.
func (l *link) drop(only net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil && (only == nil || only == l.conn) {
		_ = l.conn.Close()
		l.move()
	}
}

// doubtAfter is how long a manager may be of no use before another is tried; electing a leader takes less.
const doubtAfter = 5 * time.Second

// doubt leaves a manager that answers and is of no use, as one that is cut off from the others.
func (l *link) doubt() {
	l.mu.Lock()
	conn := l.conn
	leave := len(l.managers) > 1 && conn != nil && time.Since(l.since) > doubtAfter
	l.mu.Unlock()
	if leave {
		l.drop(conn)
	}
}

// heard notes that a manager answered, and where it says that all of them are. It returns the connection.
func (l *link) heard(managers []string) net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.proved = true; len(managers) > 0 {
		l.learn(managers)
	}
	return l.conn
}

func (l *link) learn(managers []string) {
	here := l.managers[l.next%len(l.managers)]
	if !slices.Contains(managers, here) {
		managers = append(slices.Clone(managers), here) // which leads to one of them, for certain
	}
	if !slices.Equal(managers, l.managers) {
		close(l.moved)
		l.moved = make(chan struct{})
	}
	l.managers, l.next = managers, slices.Index(managers, here)
	if slices.Equal(managers, l.saved) {
		return
	}
	if err := l.save(managers); err != nil {
		l.log.Error(err, "managers have other addresses, which cannot be kept", "managers", managers)
		return
	}
	l.saved = managers
	l.log.Info("managers have other addresses", "managers", managers)
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
		var conn net.Conn
		err := l.store.Heartbeat(ctx, &every, pace, func(managers []string) {
			conn = l.heard(managers)
			tell(nil)
		})
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, grpcstore.ErrSilent) || len(l.addresses()) > 1 {
			l.drop(conn)
		}
		tell(err)
		sleep(ctx, again)
	}
}

// reach lets every manager ask this node, each over a connection of its own: people come to any of them.
func (l *link) reach(ctx context.Context, serve func(net.Listener) error) {
	var work sync.WaitGroup
	defer work.Wait()
	going := map[string]context.CancelFunc{}
	for ctx.Err() == nil {
		l.mu.Lock()
		managers, moved := l.managers, l.moved
		l.mu.Unlock()
		for address, end := range going {
			if !slices.Contains(managers, address) {
				end()
				delete(going, address)
			}
		}
		for _, address := range managers {
			if going[address] == nil {
				var inner context.Context
				inner, going[address] = context.WithCancel(ctx)
				work.Go(func() { l.reachOne(inner, address, serve) })
			}
		}
		select {
		case <-moved:
		case <-ctx.Done():
		}
	}
	for _, end := range going {
		end()
	}
}

// reachAgain is the wait after a manager could not be reached; most likely it is switched off.
const reachAgain = 3 * time.Second

func (l *link) reachOne(ctx context.Context, address string, serve func(net.Listener) error) {
	for ctx.Err() == nil {
		if err := l.reachOnce(ctx, address, serve); err != nil && ctx.Err() == nil {
			l.log.V(1).Info("manager cannot ask this node for now", "manager", address, "cause", err.Error())
			sleep(ctx, reachAgain)
		}
	}
}

// reachOnce makes a connection of its own each time, and ends it with the certificate that it shows.
func (l *link) reachOnce(ctx context.Context, address string, serve func(net.Listener) error) error {
	l.mu.Lock()
	fresh := l.fresh
	l.mu.Unlock()
	s, err := grpcstore.Dial(address, grpcstore.Options{TLS: l.identity.TLS()})
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-fresh:
			cancel()
		case <-ctx.Done():
		}
	}()
	return s.Reach(ctx, serve)
}

// renewAgain is the wait after a renewal that failed; there are 45 days for it. With a certificate that has run out nothing else
// works, so the wait is short.
const renewAgain, renewSoon = time.Hour, 2 * time.Second

// renew keeps the certificate fresh.
func (l *link) renew(ctx context.Context) {
	told := false
	for wait := l.renewIn(); l.due(ctx, wait); wait = l.renewIn() {
		pause := renewAgain
		if l.identity.Expired() || l.identity.Outdated() {
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
		l.mu.Lock()
		close(l.fresh)
		l.fresh = make(chan struct{})
		l.mu.Unlock()
		l.anew()
		l.renewed()
		l.log.Info("certificate is renewed", "expires", l.identity.Expires())
	}
}

// due waits until the certificate is to be renewed, and is false when ctx ended meanwhile.
func (l *link) due(ctx context.Context, wait time.Duration) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.hurry:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// hurried makes the certificate be renewed at once.
func (l *link) hurried() {
	select {
	case l.hurry <- struct{}{}:
	default:
	}
}

// renewIn is when the certificate is to be renewed: at once by one who was a manager.
func (l *link) renewIn() time.Duration {
	if l.identity.Role() != v1.RoleWorker || l.identity.Outdated() {
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

// moving is the managers' store, by whichever of them is of use.
type moving struct {
	store.Store
	link *link
}

// List implements store.Store.
func (m moving) List(ctx context.Context) ([]meta.Object, store.Revision, error) {
	all, rev, err := m.Store.List(ctx)
	if errors.Is(err, store.ErrUnavailable) && ctx.Err() == nil {
		m.link.doubt()
	}
	return all, rev, err
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
