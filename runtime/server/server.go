// Package server is the API of a node over any Store: gRPC for programs, the same reads as JSON over HTTP/1.1 for curl and
// browsers, on the same listeners. Who may do what is not decided here but by the Store that it is given.
//
// Each connection is told apart by its first bytes (split.go): HTTP/2 goes to gRPC's own transport, the rest to net/http.
// Measured on 2 busy cores, unary Get from memory over a unix socket, p50 and p95: this way 0.04 and 0.14 ms; cmux, which
// does the same but waits for ever for a first byte unless told otherwise and has no way to tell gRPC who a TLS peer is,
// 0.04 and 0.14 ms; net/http's HTTP/2 with grpc.Server.ServeHTTP 0.10 and 0.30 ms.
package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/grpc"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/server/api"
	"warren.io/warren/runtime/store"
)

// Info and Check are what Config's functions answer with.
type (
	Info  = api.Info
	Check = api.Check
)

// Config is what a Server serves. Store and Kinds are required; what else is nil is answered with "not served by this node".
type Config struct {
	Store store.Store // admission and permissions are already in it
	Kinds meta.Kinds

	Logs   host.Logs
	Images host.Images
	Pulls  host.Pulls
	Inside host.Inside
	Meter  host.Meter

	// Health runs all checks of readiness. It should take less than a second: probes wait for it.
	Health func(ctx context.Context) []Check
	// Info tells about the node; Ready is filled in from Health.
	Info func(ctx context.Context) (Info, error)
	// Graph returns the contracts of all controllers, one line each.
	Graph func() []string
	// Why answers why a thing is as it is; store.ErrNotFound where nothing is known of it.
	Why func(ctx context.Context, key meta.Key) ([]string, error)
	// Stop begins to stop warren and returns before the Server is shut down, so that the caller gets an answer. With tasks
	// it returns after they have stopped.
	Stop func(ctx context.Context, tasks bool) error
	// Backup writes the text of a backup, keys included.
	Backup func(ctx context.Context, w io.Writer) error
	// Members are the other nodes; nil where there cannot be any.
	Members Members
	// Peers is what managers say to each other to keep the store.
	Peers Peers
	// Audit emits who changed what, oldest first.
	Audit func(ctx context.Context, q AuditQuery, emit func(Change) error) error
	// Metrics answers /metrics.
	Metrics http.Handler
	// Debug emits what a bug report needs to know of this process. A part that cannot be had is no reason to leave out others.
	Debug func(ctx context.Context, emit func(Report) error) error
	// Pprof answers /debug/pprof/, on the node's own socket only.
	Pprof http.Handler

	Log logr.Logger
}

// Peers serves HTTP/1.1 between managers.
type Peers struct {
	For     func(*http.Request) bool                              // tells which requests are theirs, by the path
	Handler func() http.Handler                                   // decides who may; nil while there is none
	Conn    func(ctx context.Context, c net.Conn) context.Context // tunes a connection of theirs
}

// Bounds of a connection.
const (
	maxStreams = 1000        // at once on one connection; a call beyond waits for another to end
	maxHeaders = 64 << 10    // bytes of one call
	pingAfter  = time.Minute // of silence, to find out whether the other side is still there
	pingWithin = 20 * time.Second
)

// helloWithin is for TLS and the first bytes, and for the headers of a request. Tests have less patience.
var helloWithin = 10 * time.Second

// Server serves the API. Make one with New.
type Server struct {
	config Config
	// patience is how long a watcher may take nothing while more than its queue holds waits for it.
	patience time.Duration

	grpc  *grpc.Server
	lobby *grpc.Server // for those who want to join
	http  *http.Server
	split *splitter

	refusals seldom
	told     few
	roll     *roll

	stopping context.Context // ends the streams that have no end of their own
	stop     context.CancelFunc
	begin    sync.Mutex // held while Serve starts what Shutdown waits for
	start    sync.Once
	running  sync.WaitGroup
}

// ErrClosed is returned by Serve after Shutdown.
var ErrClosed = errors.New("server is shut down")

// errStopping is what open streams end with.
var errStopping = fmt.Errorf("warren is stopping: %w", store.ErrUnavailable)

// New makes a server that serves nothing yet.
func New(c Config) *Server {
	s := &Server{config: c, patience: 15 * time.Second, split: newSplitter()}
	s.split.tell = s.tellBroken
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.roll = &roll{store: c.Store, now: time.Now, stopping: s.stopping, running: &s.running, expel: s.Expel, ready: make(chan struct{}), early: map[string]bool{}}
	s.grpc, s.lobby = newGRPC(s), newLobby(s)
	s.http = &http.Server{
		Handler:           s.contain(s.forPeers(s.routes())),
		ReadHeaderTimeout: helloWithin,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeaders,
		ConnContext:       s.markConn,
		ErrorLog:          log.New(io.Discard, "", 0), // broken connections of others; panics are logged by contain
	}
	return s
}

// Serve answers on a listener until Shutdown, or until the listener fails. It may be called for several listeners.
// For TLS give it a listener of ListenTLS.
func (s *Server) Serve(l net.Listener) error {
	if !s.started() {
		return errors.Join(ErrClosed, l.Close())
	}
	err := s.split.accept(l)
	if s.stopping.Err() != nil {
		return ErrClosed
	}
	return fmt.Errorf("serve %s: %w", l.Addr(), err)
}

// started starts the protocols with the first listener; false after Shutdown.
func (s *Server) started() bool {
	s.begin.Lock()
	defer s.begin.Unlock()
	if s.stopping.Err() != nil {
		return false
	}
	s.start.Do(func() {
		s.running.Go(func() { _ = s.grpc.Serve(s.split.two) })
		s.running.Go(func() { _ = s.lobby.Serve(s.split.lobby) })
		s.running.Go(func() { _ = s.http.Serve(s.split.one) })
	})
	return true
}

// Shutdown refuses new connections, ends watches and followed logs with an error that says so, lets other calls finish, and
// returns when nothing of this server runs any more, or after ctx has ended and the connections were cut.
func (s *Server) Shutdown(ctx context.Context) error {
	s.begin.Lock()
	s.stop()
	s.begin.Unlock()
	s.split.close()
	calm := make(chan struct{})
	go func() {
		defer close(calm)
		s.lobby.Stop() // who wants to join asks again
		s.grpc.GracefulStop()
	}()
	err := s.http.Shutdown(ctx)
	select {
	case <-calm:
	case <-ctx.Done():
		err = fmt.Errorf("shut the server down: %w", ctx.Err())
		s.grpc.Stop()
		_ = s.http.Close()
		<-calm
	}
	s.running.Wait()
	return err
}

// Expel ends the connections of those whose certificate has a name, but for those that may stay, and returns how many there were.
// What they call afterwards on a new one is judged anew.
func (s *Server) Expel(name string, stays func(*x509.Certificate) bool) (ended int) {
	return s.split.expel(name, stays)
}

// open ends a context also when the server stops: for calls that would go on for ever.
func (s *Server) open(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	release := context.AfterFunc(s.stopping, func() { cancel(errStopping) })
	return ctx, func() { release(); cancel(nil) }
}
