package warrenctl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"warren.io/warren/cmd/warrenctl/contexts"
	"warren.io/warren/runtime/identity"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

func (p *program) loginVerb() *cli.Command {
	return &cli.Command{
		Name: "login", Usage: "become a user of a cluster, with a token of an administrator", ArgsUsage: "HOST:PORT[,HOST:PORT...]",
		Description: "HOST:PORT is where a manager listens. Your key is made here and stays here; what you get is kept as a context, which is the current\n" +
			"one from then on. It is named by --context, else as the host.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "token", Usage: "what warrenctl token create printed", EnvVars: []string{"WARREN_TOKEN"}},
			&cli.StringFlag{Name: "user", Usage: "who you are, where the token does not say it"},
		},
		Action: p.login,
	}
}

func (p *program) login(c *cli.Context) error {
	servers := strings.Split(c.Args().First(), ",")
	text := cmp.Or(c.String("token"), p.getenv("WARREN_TOKEN"))
	if c.Args().Len() != 1 || text == "" {
		return try(usagef("log in where, and with which token?"), "warrenctl login HOST:PORT --token TOKEN")
	}
	if err := contexts.CheckServers(servers); err != nil {
		return usagef("%v", err)
	}
	token, err := identity.ParseToken(text)
	if err != nil {
		return try(usagef("%v", err), "a token that an administrator makes, by warrenctl token create --role viewer")
	}
	a := p.aim(c)
	host, _, _ := net.SplitHostPort(servers[0])
	name := cmp.Or(a.context, host)
	if err := contexts.CheckName(name); err != nil {
		return usagef("--context: %v", err)
	}
	path, err := p.configPath(a)
	if err != nil {
		return err
	}
	var in grpcstore.LoggedIn
	err = contexts.Change(path, func(cfg *contexts.Config) error {
		if x, err := cfg.Find(name); err == nil && x.Pin() != token.Pin {
			return try(usagef("there is a context %q, of another cluster", name), "the same with --context and another name")
		}
		x := contexts.Context{Name: name, Servers: servers}
		var err error
		if in, x.Papers, err = enter(c.Context, servers, token, c.String("user")); err != nil {
			return fmt.Errorf("login: %w", err)
		}
		cfg.Put(x)
		cfg.Current = name
		return nil
	})
	if err != nil {
		return err
	}
	p.printf("logged in as %s (%s), context %q\n", in.User, in.Role, name)
	return nil
}

// How long to try to get through. The same key is used each time, so an answer that was lost costs nothing.
const (
	loginTries  = 3
	loginWithin = 20 * time.Second
	loginPause  = 500 * time.Millisecond
)

// enter asks for a certificate with a token, for a key that is made for it.
func enter(ctx context.Context, servers []string, token identity.Token, user string) (grpcstore.LoggedIn, identity.Papers, error) {
	var in grpcstore.LoggedIn
	a, err := identity.Apply(cmp.Or(user, "user"), token.Pin)
	if err != nil {
		return in, identity.Papers{}, err
	}
	csr, err := a.Request()
	if err != nil {
		return in, identity.Papers{}, err
	}
	timed, cancel := context.WithTimeout(ctx, loginWithin)
	defer cancel()
	s, err := grpcstore.DialAny(servers, grpcstore.Options{TLS: a.TLS()})
	if err != nil {
		return in, identity.Papers{}, usagef("%v", err)
	}
	defer s.Close()
	for n := 1; ; n++ {
		in, err = s.Login(timed, grpcstore.LoggingIn{Token: token.String(), User: user, CSR: csr})
		if err == nil || !errors.Is(err, store.ErrUnavailable) || errors.Is(err, grpcstore.ErrKeys) || n == loginTries || sleep(timed, loginPause) != nil {
			break
		}
	}
	switch {
	case errors.Is(err, grpcstore.ErrKeys):
		err = try(err, "the address and a token of the same cluster")
	case ctx.Err() == nil && (errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)):
		err = try(err, "the address that a manager was given with --listen")
	}
	if err != nil {
		return in, identity.Papers{}, err
	}
	papers, err := a.Papers(in.Certificate)
	return in, papers, err
}

func (p *program) whoamiVerb() *cli.Command {
	return &cli.Command{
		Name: "whoami", Usage: "show who you are for the cluster, and what you may do",
		Action: func(c *cli.Context) error {
			t, err := p.target(p.aim(c))
			if err != nil {
				return err
			}
			s, err := p.server(c)
			if err != nil {
				return err
			}
			me, err := s.Whoami(c.Context)
			if err != nil {
				return err
			}
			rows := table{{"user", me.Name}, {"role", me.Role}, {"server", strings.Join(t.servers, ",")}}
			if t.user != nil {
				rows = append(rows, []string{"context", t.context}, []string{"expires", t.user.Expires().UTC().Format(time.RFC3339)})
			}
			rows.print(p.out)
			return nil
		},
	}
}
