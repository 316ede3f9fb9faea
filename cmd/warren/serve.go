package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/controllers/nodes"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/containerd"
	keys "warren.io/warren/runtime/identity"
	"warren.io/warren/runtime/quorum"
	"warren.io/warren/runtime/server"
	"warren.io/warren/runtime/store"
)

// serve answers on the node's socket from now on, and on a loopback port for metrics where that is asked for.
func (n *node) serve() (*server.Server, error) {
	l, err := server.ListenUnix(n.runDir)
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	all := everywhere{n}
	s := server.New(server.Config{
		Store: n.late, Kinds: v1.Kinds, Logs: all, Images: all, Pulls: all, Inside: all, Meter: all, Health: n.health, Info: n.info,
		Graph: func() []string { return control.Graph(contracts()) }, Why: n.why, Stop: n.stop, Backup: n.sendBackup, Metrics: n.metrics.handler(),
		Members: n.office, Peers: server.Peers{For: quorum.ForPeers, Handler: n.peers, Conn: quorum.ConnContext}, Debug: n.reports, Audit: n.readAudit, Pprof: profiles(n.pprof), Log: n.log.WithName("api"),
	})
	go n.answer(s, l)
	return s, n.serveMetrics(s)
}

// serveKeys serves the API on HOST:PORT to those who hold a key. It needs the data directory, so it comes after the store.
func (n *node) serveKeys(s *server.Server) error {
	if n.listen == "" {
		return nil
	}
	n.unlock()
	f, err := keys.OpenFront(n.keysDir(), n.id.Name, hostOf(n.listen), hostOf(n.advertise))
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	l, err := server.ListenTLS(n.listen, f.TLS())
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	n.keyring.opened(f)
	n.log.Info("api is served with keys", "address", l.Addr().String(), "keys", n.keysDir())
	go n.answer(s, l)
	return nil
}

// peers answers other managers.
func (n *node) peers() http.Handler {
	if q := n.member.Load(); q != nil {
		return q.Handler()
	}
	return nil
}

func (n *node) keysDir() string { return filepath.Join(n.dataDir, "keys") }

func hostOf(address string) string {
	host, _, _ := net.SplitHostPort(address)
	return host
}

func (n *node) answer(s *server.Server, l net.Listener) {
	if err := s.Serve(l); !errors.Is(err, server.ErrClosed) {
		n.log.Error(err, "api ended", "address", l.Addr().String())
	}
}

// serveMetrics serves what holds no secrets on a port of this machine: health and metrics, nothing else.
func (n *node) serveMetrics(s *server.Server) error {
	if n.metricsAddr == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(n.metricsAddr)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return usageError{fmt.Errorf("--metrics-listen %q: must be HOST:PORT on loopback, like 127.0.0.1:9100", n.metricsAddr)}
	}
	l, err := net.Listen("tcp", n.metricsAddr)
	if err != nil {
		return fmt.Errorf("--metrics-listen: %w", err)
	}
	go func() {
		h := &http.Server{Handler: s.HealthHandler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10}
		n.log.Error(h.Serve(l), "metrics port ended")
	}()
	return nil
}

func (n *node) info(context.Context) (server.Info, error) {
	i := server.Info{Version: version, Node: n.id.Name, ClusterID: n.id.Cluster, Leader: n.leading.get()}
	if n.id.worker() {
		return i, nil
	}
	if _, err := n.late.Get(context.Background(), clusterKey); err == nil {
		i.Revision = n.quorum.Health().Revision
	}
	return i, nil
}

// stop ends this process after the answer is on its way.
func (n *node) stop(ctx context.Context, tasks bool) error {
	if tasks {
		h, err := n.hosts.get()
		if err != nil {
			return err
		}
		if err := h.StopAll(ctx); err != nil {
			return err
		}
	}
	n.stopping.Do(n.shutdown)
	return nil
}

// health runs the checks of readiness.
func (n *node) health(ctx context.Context) []server.Check {
	checks := n.status.checks()
	if n.id.worker() { // the link says by itself how it is
		if j := n.journal.Load(); j != nil {
			checks = append(checks, check("journal", j.Health()))
		}
	} else if _, err := n.late.Get(ctx, clusterKey); err == nil {
		h := n.quorum.Health()
		checks[0] = check("store", h.Err)
		if h.Err == nil && len(h.Warnings) > 0 {
			checks[0].Message = "warning: " + strings.Join(h.Warnings, "; ")
		}
	}
	h, err := n.hosts.get()
	if err == nil {
		_, err = h.Observe(ctx)
	}
	checks = append(checks, check("containers", err))
	if err == nil {
		checks = append(checks, imageCheck(h.Warnings()))
	}
	return slices.Concat(checks, n.held.checks(), n.saved.checks())
}

func check(name string, err error) server.Check {
	c := server.Check{Name: name, OK: err == nil}
	if err != nil {
		c.Message = err.Error()
	}
	return c
}

// board holds what the parts of the node say about themselves.
type board struct {
	mu        sync.Mutex
	names     []string
	errs      map[string]error
	heartbeat *nodes.Beats
}

func (b *board) set(name string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.errs == nil {
		b.errs = map[string]error{}
	}
	if _, known := b.errs[name]; !known {
		b.names = append(b.names, name)
	}
	b.errs[name] = err
}

func (b *board) checks() []server.Check {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []server.Check
	for _, name := range b.names {
		out = append(out, check(name, b.errs[name]))
	}
	return out
}

func (b *board) beats(t *nodes.Beats) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heartbeat = t
}

func (b *board) beat(node string) {
	b.mu.Lock()
	t := b.heartbeat
	b.mu.Unlock()
	if t != nil {
		t.Beat(node, time.Now())
	}
}

type flag struct{ v atomic.Bool }

func (f *flag) set(v bool) { f.v.Store(v) }
func (f *flag) get() bool  { return f.v.Load() }

// lateHost is the host's logs and images, which the API serves before the host is there.
type lateHost struct {
	mu sync.Mutex
	h  *containerd.Host
}

func (l *lateHost) open(h *containerd.Host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.h = h
}

func (l *lateHost) get() (*containerd.Host, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.h == nil {
		return nil, fmt.Errorf("%w: containers are not up yet", store.ErrUnavailable)
	}
	return l.h, nil
}

// Read implements host.Logs.
func (l *lateHost) Read(ctx context.Context, task string, o host.LogOptions, emit func(host.LogLine) error) error {
	h, err := l.get()
	if err != nil {
		return err
	}
	return h.Read(ctx, task, o, emit)
}
