package warrenctl

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"warren.io/warren/cmd/warrenctl/contexts"
	"warren.io/warren/runtime/identity"
	"warren.io/warren/runtime/store/grpcstore"
)

// globals are the flags of warrenctl itself.
func globals() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "server", Value: DefaultServer, EnvVars: []string{"WARREN_SERVER"}, Usage: "node to talk to: unix:///PATH or HOST:PORT"},
		&cli.StringFlag{Name: "keys", EnvVars: []string{"WARREN_KEYS"},
			Usage: "for HOST:PORT: directory with ca.crt, admin.crt and admin.key, as the node made them in DATA_DIR/keys"},
		&cli.StringFlag{Name: "context", EnvVars: []string{"WARREN_CONTEXT"}, Usage: "cluster to talk to, of those that you have logged in to"},
		&cli.StringFlag{Name: "config", EnvVars: []string{"WARREN_CONFIG"}, Usage: "file of what you have logged in to (default: ~/.warren/config.yaml)"},
	}
}

// aim is what somebody said about where to go: by flags, else by variables.
type aim struct {
	server, keys, context, config string
	// typed: the server was said by flag, and a context's is not to be used.
	typed bool
}

func (p *program) aim(c *cli.Context) aim {
	a := aim{keys: cmp.Or(c.String("keys"), p.getenv("WARREN_KEYS")), context: cmp.Or(c.String("context"), p.getenv("WARREN_CONTEXT")),
		config: cmp.Or(c.String("config"), p.getenv("WARREN_CONFIG")), server: p.getenv("WARREN_SERVER")}
	if a.typed = slices.ContainsFunc(p.typed, func(f string) bool { return strings.HasPrefix(f, "--server=") }); a.typed {
		a.server = c.String("server")
	}
	return a
}

// configPath is where contexts are kept.
func (p *program) configPath(a aim) (string, error) {
	if a.config != "" {
		return a.config, nil
	}
	home := p.getenv("HOME")
	if home == "" {
		var err error
		if home, err = os.UserHomeDir(); err != nil {
			return "", try(usagef("where is your home? %v", err), "--config FILE")
		}
	}
	return filepath.Join(home, ".warren", "config.yaml"), nil
}

// target is where to go, and what to show there.
type target struct {
	servers []string
	options grpcstore.Options
	// Of a context:
	context, path string
	user          *identity.User
}

// target follows the order: a context that is named; a server that is named; the current context; the node on this machine.
func (p *program) target(a aim) (target, error) {
	name := a.context
	if name == "" && (a.server != "" || a.keys != "") {
		return keyed(cmp.Or(a.server, DefaultServer), a.keys)
	}
	path, err := p.configPath(a)
	if err != nil && name == "" {
		return target{servers: []string{DefaultServer}}, nil // nobody who has no home has logged in
	}
	if err != nil {
		return target{}, err
	}
	cfg, err := contexts.Load(path)
	if err != nil {
		return target{}, err
	}
	if name = cmp.Or(name, cfg.Current); name == "" {
		return target{servers: []string{DefaultServer}}, nil
	}
	x, err := cfg.Find(name)
	if err != nil {
		return target{}, try(usagef("%s: %v", path, err), "warrenctl config get-contexts")
	}
	t := target{servers: x.Servers, context: name, path: path}
	if a.typed {
		t.servers = []string{a.server}
	}
	if a.keys != "" && a.context != "" {
		return t, usagef("--keys and --context both say who you are; give one of them")
	}
	if t.user, err = x.Open(); err != nil {
		return t, try(usagef("%s: context %q: %v", path, name, err), "warrenctl login HOST:PORT --token TOKEN --context %s", name)
	}
	if time.Now().After(t.user.Expires()) { // as the other side judges it
		return t, try(errors.New("the certificate of "+t.user.Name()+" in context "+name+" has expired at "+t.user.Expires().UTC().Format(time.RFC3339)),
			"warrenctl login %s --token TOKEN --context %s, with a token by warrenctl token create --user %s of an administrator", x.Servers[0], name, t.user.Name())
	}
	t.options.TLS = t.user.TLS()
	return t, nil
}

// keyed goes to one server with keys of a directory, or without any.
func keyed(server, keys string) (target, error) {
	t := target{servers: []string{server}}
	if keys == "" || strings.HasPrefix(server, "unix:") {
		return t, nil
	}
	var err error
	if t.options.TLS, err = identity.ClientConfig(keys); err != nil {
		next := keysHelp
		if errors.Is(err, fs.ErrPermission) {
			next = asRoot
		}
		return t, try(usagef("--keys: %v", err), "%s", next)
	}
	return t, nil
}

// dial makes the connection when it is first asked for.
func (p *program) dial(a aim) (*grpcstore.Store, error) {
	if p.conn != nil {
		return p.conn, nil
	}
	t, err := p.target(a)
	if err != nil {
		return nil, err
	}
	t.options.Stale = p.tellStale
	s, err := grpcstore.DialAny(t.servers, t.options)
	if err != nil {
		err = usagef("%v", err)
		if _, _, bad := net.SplitHostPort(t.servers[0]); bad == nil && t.options.TLS == nil && !strings.HasPrefix(t.servers[0], "unix:") {
			err = try(err, "%s", keysHelp)
		}
		return nil, err
	}
	p.conn = s
	p.renew(t)
	return s, nil
}

// renewWithin is how long a command waits at its end for a new certificate.
const renewWithin = 2 * time.Second

// renew asks for a new certificate beside what the command does, when half of the life of the old one is over. If that fails, a
// later command does it.
func (p *program) renew(t target) {
	if t.user == nil {
		return
	}
	p.papers = &t
	if t.user.RenewIn(time.Now()) > 0 {
		return
	}
	p.renewed = make(chan struct{})
	go func() {
		defer close(p.renewed)
		p.renewNow(t, 10*time.Second)
	}()
}

func (p *program) renewNow(t target, within time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	csr, err := t.user.Request()
	if err != nil {
		return
	}
	cert, err := p.conn.Renew(ctx, csr)
	if err != nil {
		return
	}
	papers, err := t.user.Renewed(cert.Certificate)
	if err != nil {
		return
	}
	_ = contexts.Change(t.path, func(c *contexts.Config) error {
		x, err := c.Find(t.context)
		if err == nil && x.Key == papers.Key { // nobody logged in anew meanwhile
			x.Papers = papers
		}
		return err
	})
}

// hangUp ends the connection, if there was one.
func (p *program) hangUp() {
	if p.renewed != nil {
		select {
		case <-p.renewed:
		case <-time.After(renewWithin):
		}
	} else if p.conn != nil && p.papers != nil && p.papers.user.Outdated() { // which only who has connected knows
		p.renewNow(*p.papers, renewWithin)
	}
	if p.conn != nil {
		_ = p.conn.Close()
	}
}
