package quorum

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/etcdserver/api/etcdhttp"
	"golang.org/x/sys/unix"

	v1 "warren.io/warren/apis/v1"
)

const (
	// Role is the organization in the certificates of those that may be members.
	Role = v1.RolePrefix + string(v1.RoleManager)
	// ServerName is the DNS name that each member's certificate must carry. Members demand it of whom they call, so that
	// no other certificate of the authority can stand in for a manager, and a new address needs no new certificate.
	ServerName = v1.ManagerName
	// unanswered is after how long a connection ends on which the other side acknowledges nothing.
	unanswered = 3 * time.Second
	// handshake is how long a call to another member may take to be answered.
	handshake = 700 * time.Millisecond
)

// PeerConfig says how this member and the others reach each other. The zero value is a member that stays alone: it has no
// address, and nobody can join it.
type PeerConfig struct {
	// Advertise is the HOST:PORT at which the others reach the server that Quorum.Handler is mounted on. It may be another
	// one at each start: the others are told.
	Advertise string
	// Cert, Key and CA are files in PEM. Cert has the organization Role, the node's name as its common name, and the
	// DNS name ServerName, for a server and for a client. Cert and Key are read for each connection, CA at the start.
	Cert, Key, CA string
}

func (p PeerConfig) set() bool { return p.Advertise != "" }

func (p PeerConfig) url() string { return "https://" + p.Advertise }

// check finds what etcd would not say, or only when the first connection fails.
func (p PeerConfig) check() error {
	if !p.set() {
		return nil
	}
	host, port, err := net.SplitHostPort(p.Advertise)
	if err != nil || host == "" || port == "" || port == "0" {
		return fmt.Errorf("advertise %q: want HOST:PORT", p.Advertise)
	}
	pair, err := tls.LoadX509KeyPair(p.Cert, p.Key)
	if err != nil {
		return fmt.Errorf("certificate for the other managers: %w", err)
	}
	if err := mayBeMember(pair.Leaf); err != nil {
		return fmt.Errorf("certificate %s: %w", p.Cert, err)
	}
	_, err = p.pool()
	return err
}

func (p PeerConfig) pool() (*x509.CertPool, error) {
	data, err := os.ReadFile(p.CA)
	if err != nil {
		return nil, fmt.Errorf("authority of the other managers: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("authority of the other managers: %s holds no certificate", p.CA)
	}
	return pool, nil
}

// etcd is the same in etcd's terms.
func (p PeerConfig) etcd() (transport.TLSInfo, types.URLs, error) {
	urls, err := types.NewURLs([]string{p.url()})
	return transport.TLSInfo{CertFile: p.Cert, KeyFile: p.Key, TrustedCAFile: p.CA, ServerName: ServerName,
		ClientCertAuth: true, MinVersion: tls.VersionTLS13}, urls, err
}

// caller makes what this package itself calls other members with. It keeps no connections, and knows no proxy.
func (p PeerConfig) caller() (*http.Client, error) {
	pool, err := p.pool()
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool, ServerName: ServerName,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(p.Cert, p.Key)
			return &pair, err
		}}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true,
		DialContext: (&net.Dialer{Timeout: handshake}).DialContext}}, nil
}

// mayBeMember tells whether a certificate is a manager's.
func mayBeMember(cert *x509.Certificate) error {
	if !slices.Contains(cert.Subject.Organization, Role) {
		return fmt.Errorf("%q is no manager: the certificate lacks the organization %s", cert.Subject.CommonName, Role)
	}
	return nil
}

// ForPeers tells whether a request, by its path, is one for Quorum.Handler. Such requests are HTTP/1.1.
func ForPeers(r *http.Request) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return slices.Contains([]string{"raft", "members", "version", "downgrade", "tidy"}, first)
}

// ConnContext is for the http.Server that Handler is mounted on. It makes connections over which nothing gets through end
// after seconds, and not after a quarter of an hour: a member that was cut off is heard again as soon as the cut is healed.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if t, ok := c.(*net.TCPConn); ok {
		if raw, err := t.SyscallConn(); err == nil {
			raw.Control(func(fd uintptr) {
				unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unanswered.Milliseconds()))
			})
		}
	}
	return ctx
}

// Handler serves the other members. It demands a verified certificate of a manager that is a member; the server around it
// must ask for client certificates, speak HTTP/1.1, and set no time limit for reading or writing. It is nil where no
// address is set.
func (q *Quorum) Handler() http.Handler {
	if !q.config.Peer.set() {
		return nil
	}
	inner := http.NewServeMux()
	inner.Handle("/", etcdhttp.NewPeerHandler(q.zap(), q.server))
	inner.HandleFunc("POST /tidy", q.serveTidy)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := q.admit(r); err != nil {
			q.refused(r, err)
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		inner.ServeHTTP(w, r)
	})
}

// admit lets members in. One that has just begun does not yet know who they are.
func (q *Quorum) admit(r *http.Request) error {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return errors.New("a certificate is needed")
	}
	cert := r.TLS.VerifiedChains[0][0]
	if err := mayBeMember(cert); err != nil {
		return err
	}
	select {
	case <-q.readied:
	default:
		return nil
	}
	for _, m := range q.server.Cluster().Members() {
		if m.Name == cert.Subject.CommonName {
			return nil
		}
	}
	return fmt.Errorf("%q is no member of this cluster", cert.Subject.CommonName)
}

// refused tells of each stranger once.
func (q *Quorum) refused(r *http.Request, err error) {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	if _, told := q.strangers.LoadOrStore(host+err.Error(), true); !told {
		q.log.Info("Refused a call that only managers may make", "from", host, "path", r.URL.Path, "reason", err.Error())
	}
}
