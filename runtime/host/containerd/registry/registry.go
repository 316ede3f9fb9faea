// Package registry fetches the content of images from registries and their mirrors: with logins, at a bounded rate, a bounded
// number of layers at once, and counted while it comes, so that people can be shown how far it is. All pulls of a node share
// one Source.
package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"
)

// DefaultParallel is how many layers are fetched at once if nothing else is said.
const DefaultParallel = 3

// Config says how a node speaks to registries. The zero value is right.
type Config struct {
	// Credentials is the path of a file in the form of docker's config.json. It is read anew for each pull and may be missing.
	Credentials string
	// Mirrors are asked before the registry that they stand for, in their order.
	Mirrors []Mirror
	// CA is the path of a PEM file with authorities that are believed beside those of the system.
	CA string
	// Parallel is how many layers are fetched at once over all pulls; 0 means DefaultParallel.
	Parallel int
	// Rate is how many bytes come per second over all pulls; 0 means no limit.
	Rate int64
}

// Source is where images come from.
type Source struct {
	config  Config
	direct  *http.Client // for registries
	mirrors *http.Client // for mirrors: does not wait long, since there is another to ask
	slots   chan struct{}
	limit   *rate.Limiter // nil: none
	stall   time.Duration
	board   board
}

// stallAfter is how long a registry may send nothing in the midst of a layer.
const stallAfter = time.Minute

// New makes a Source. It reads the authorities now.
func New(c Config) (*Source, error) {
	if c.Parallel <= 0 {
		c.Parallel = DefaultParallel
	}
	trusted, err := authorities(c.CA)
	if err != nil {
		return nil, err
	}
	s := &Source{config: c, slots: make(chan struct{}, c.Parallel), stall: stallAfter}
	if c.Rate > 0 {
		s.limit = rate.NewLimiter(rate.Limit(c.Rate), int(min(max(c.Rate/4, 4<<10), 256<<10)))
	}
	s.direct = &http.Client{Transport: s.transport(trusted, 30*time.Second)}
	s.mirrors = &http.Client{Transport: s.transport(trusted, mirrorPatience)}
	return s, nil
}

// authorities adds those in a file to the system's; nil means the system's alone.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read certificate authorities: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("read certificate authorities: %s has no certificate in PEM form", file)
	}
	return pool, nil
}

func (s *Source) transport(trusted *x509.CertPool, patience time.Duration) *http.Transport {
	dial := &net.Dialer{Timeout: patience, KeepAlive: 30 * time.Second, Control: s.window}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dial.DialContext, TLSClientConfig: &tls.Config{RootCAs: trusted},
		TLSHandshakeTimeout: min(patience, 10*time.Second), ResponseHeaderTimeout: patience,
		MaxIdleConns: 10, IdleConnTimeout: 30 * time.Second, ExpectContinueTimeout: 5 * time.Second,
	}
}

// window keeps the kernel from taking in much more than the rate allows before anybody reads it.
func (s *Source) window(_, _ string, c syscall.RawConn) error {
	if s.limit == nil {
		return nil
	}
	size := int(min(max(s.config.Rate/8, 16<<10), 1<<20))
	return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, size) })
}

// Close drops the connections that nobody uses.
func (s *Source) Close() {
	s.direct.CloseIdleConnections()
	s.mirrors.CloseIdleConnections()
}

// Resolver finds out what names mean and fetches content, with the credentials as they are now.
func (s *Source) Resolver() remotes.Resolver {
	creds := docker.WithAuthCreds(s.login)
	own := docker.NewDockerAuthorizer(docker.WithAuthClient(s.direct), creds)
	others := docker.NewDockerAuthorizer(docker.WithAuthClient(s.mirrors), creds)
	return resolver{docker.NewResolver(docker.ResolverOptions{Hosts: func(name string) ([]docker.RegistryHost, error) {
		return s.hosts(name, own, others)
	}}), s}
}

// hosts are the servers to ask for what is at the registry name: its mirrors, then itself, over HTTPS, but over plain HTTP
// where it is this machine or a mirror's URL says so.
func (s *Source) hosts(name string, own, others docker.Authorizer) ([]docker.RegistryHost, error) {
	var all []docker.RegistryHost
	for _, m := range s.config.Mirrors {
		if m.Registry == registryOf(name) {
			all = append(all, docker.RegistryHost{Client: s.mirrors, Authorizer: others, Scheme: m.URL.Scheme, Host: m.URL.Host,
				Path: path.Join("/", m.URL.Path, "v2"), Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve})
		}
	}
	itself, err := docker.ConfigureDefaultRegistries(docker.WithClient(s.direct), docker.WithAuthorizer(own),
		docker.WithPlainHTTP(docker.MatchLocalhost))(name)
	return append(all, itself...), err
}

// ErrNoAnswer means that a registry said nothing at all, as when packets vanish on the way.
var ErrNoAnswer = errors.New("the registry does not answer")

// resolvePatience is how long a registry may take to say what a name means, mirrorPatience how long each step of speaking to
// a mirror may take. Content may take as long as it takes.
const (
	resolvePatience = 15 * time.Second
	mirrorPatience  = 5 * time.Second
)

// resolver gives up, so that people are told what their task waits for.
type resolver struct {
	remotes.Resolver
	source *Source
}

// Resolve implements remotes.Resolver.
func (r resolver) Resolve(ctx context.Context, ref string) (string, ocispec.Descriptor, error) {
	patience := resolvePatience + time.Duration(len(r.source.config.Mirrors))*3*mirrorPatience
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	name, target, err := r.Resolver.Resolve(limited, ref)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w within %s: %v", ErrNoAnswer, patience, err)
	}
	return name, target, err
}

// Fetcher implements remotes.Resolver.
func (r resolver) Fetcher(ctx context.Context, ref string) (remotes.Fetcher, error) {
	f, err := r.Resolver.Fetcher(ctx, ref)
	return fetcher{f, r.source}, err
}
