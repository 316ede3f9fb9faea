// Package grpcstore is a Store over Warren's API, and the rest of that API beside it: what agents and warrenctl hold.
package grpcstore

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/server/api"
)

// Options of a connection. The zero value is right for the node's own socket.
type Options struct {
	// TLS is required for HOST:PORT outside of this machine.
	TLS *tls.Config
	// Kinds are those that this program knows; default is v1.Kinds. Objects of other kinds are not seen.
	Kinds meta.Kinds
	// Stale, if set, is told of answers that may be old.
	Stale func(text string)
	// Dial replaces the way in which connections are made, for tests.
	Dial func(ctx context.Context) (net.Conn, error)
}

// link is what calls go over: one connection, or several.
type link interface {
	grpc.ClientConnInterface
	io.Closer
}

// Conn is a connection to a node's API. It connects when it is first used, and again when the connection was lost.
type Conn struct {
	target string
	kinds  meta.Kinds
	link   link
	others int // that calls may move on to
	api    api.WarrenClient
	nodes  api.MembershipClient
	// broken is why the last attempt to connect failed; nil after one that did not.
	broken atomic.Pointer[error]
	stale  func(string)
}

// tellStale looks whether an answer is said to be old.
func (c *Conn) tellStale(trailer metadata.MD) {
	for _, text := range trailer.Get(api.StaleTrailer) {
		if c.stale != nil {
			c.stale(text)
		}
	}
}

// connect again soon: a warren that was restarted is back in a second or two.
var reconnect = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
	MinConnectTimeout: 5 * time.Second,
}

// Dial returns a store behind unix:///PATH or HOST:PORT. It does not wait for the other side: the first call does.
func Dial(target string, o Options) (*Store, error) {
	network, address, err := parse(target, o)
	if err != nil {
		return nil, fmt.Errorf("server %q: %w", target, err)
	}
	c := &Conn{target: target, kinds: o.Kinds, stale: o.Stale}
	if c.kinds == nil {
		c.kinds = v1.Kinds
	}
	dial := o.Dial
	if dial == nil {
		dial = func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, network, address) }
	}
	c.link, err = grpc.NewClient("passthrough:///"+address, c.options(network, dial, o.TLS)...)
	if err != nil {
		return nil, fmt.Errorf("server %q: %w", target, err)
	}
	c.api, c.nodes = api.NewWarrenClient(c.link), api.NewMembershipClient(c.link)
	return &Store{Conn: c}, nil
}

func (c *Conn) options(network string, dial func(context.Context) (net.Conn, error), t *tls.Config) []grpc.DialOption {
	remember := func(ctx context.Context, _ string) (net.Conn, error) {
		conn, err := dial(ctx)
		if err != nil {
			c.broken.Store(&err)
			return nil, err
		}
		c.broken.Store(nil)
		return conn, nil
	}
	opts := []grpc.DialOption{
		grpc.WithContextDialer(remember),
		grpc.WithConnectParams(reconnect),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(api.MaxMessage), grpc.MaxCallSendMsgSize(api.MaxMessage)),
		grpc.WithDisableServiceConfig(),
		grpc.WithStaticStreamWindowSize(api.StreamWindow),
		grpc.WithStaticConnWindowSize(api.ConnWindow),
	}
	if network == "unix" {
		opts = append(opts, grpc.WithAuthority("localhost"))
	} else { // a machine that went away says nothing
		opts = append(opts, grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}))
	}
	if t == nil {
		return append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	return append(opts, grpc.WithTransportCredentials(credentials.NewTLS(t)))
}

// parse tells what to connect to. Without TLS nothing leaves this machine.
func parse(target string, o Options) (network, address string, err error) {
	if path, ok := strings.CutPrefix(target, "unix://"); ok {
		if !strings.HasPrefix(path, "/") {
			return "", "", fmt.Errorf("a socket is written unix:///PATH")
		}
		return "unix", path, nil
	}
	if path, ok := strings.CutPrefix(target, "unix:"); ok || strings.HasPrefix(target, "/") {
		return "", "", fmt.Errorf("a socket is written unix://%s", path)
	}
	host, _, err := net.SplitHostPort(target)
	if err != nil || host == "" {
		return "", "", fmt.Errorf("write unix:///PATH or HOST:PORT")
	}
	ip := net.ParseIP(host)
	if o.TLS == nil && o.Dial == nil && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", "", fmt.Errorf("a connection to another machine needs a certificate")
	}
	return "tcp", target, nil
}

// Close ends the connection and all calls on it.
func (c *Conn) Close() error { return c.link.Close() }

// Target is where this connection leads, as it was given to Dial.
func (c *Conn) Target() string { return c.target }
