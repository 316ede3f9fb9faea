package warrenctl

import (
	"cmp"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

func (p *program) tokenVerb() *cli.Command {
	return &cli.Command{
		Name: "token", Usage: "make, list and revoke tokens by which machines join and people log in", ArgsUsage: "create|list|revoke ...",
		Subcommands: []*cli.Command{
			{Name: "create", Usage: "make a token and print it, this once", Action: p.createToken, Flags: []cli.Flag{
				&cli.StringFlag{Name: "role", Usage: "what a machine becomes, worker or manager; or a person, viewer, operator or admin"},
				&cli.StringFlag{Name: "user", Usage: "who logs in by it; one who is there gets a new key (default: a new one, who says who he is)"},
				&cli.DurationFlag{Name: "ttl", Value: 24 * time.Hour, Usage: "until when it can be used, from now"},
				&cli.IntFlag{Name: "uses", Value: 1, Usage: "how often it can be used"},
			}},
			{Name: "list", Aliases: []string{"ls"}, Usage: "list tokens, also those that were used or have expired lately", Action: p.listTokens},
			{Name: "revoke", Usage: "make tokens useless; nodes and users that came by them stay", ArgsUsage: "ID...", Action: p.revokeTokens},
		},
	}
}

func (p *program) createToken(c *cli.Context) error {
	if c.String("role") == "" {
		return try(usagef("a token for what?"), "warrenctl token create --role worker")
	}
	role := v1.Role(c.String("role"))
	if !slices.Contains(roles(), string(role)) {
		return try(usagef("--role %q: machines join as worker or manager, people log in as viewer, operator or admin", role), "warrenctl token create --role worker")
	}
	if c.String("user") != "" && !role.OfPeople() {
		return usagef("--user is for people, and a %s is a machine", role)
	}
	s, err := p.server(c)
	if err != nil {
		return err
	}
	t, err := s.CreateToken(c.Context, grpcstore.TokenWish{Role: string(role), User: c.String("user"), TTL: c.Duration("ttl"), Uses: c.Int("uses")})
	if err != nil {
		return err
	}
	p.printf("%s\n", t.Text)
	if role.OfPeople() {
		p.note("token %s: good for %d login(s) as %s until %s:\n  warrenctl login %s --token TOKEN%s", t.ID, c.Int("uses"), role, t.Expires.Format(time.RFC3339),
			cmp.Or(t.Address, "HOST:PORT"), map[bool]string{true: " --user NAME"}[c.String("user") == ""])
		return nil
	}
	listen := ""
	if role == v1.RoleManager {
		listen = " --listen 0.0.0.0:7070"
	}
	p.note("token %s: %d machine(s) may join until %s:\n  warren join %s --token TOKEN%s", t.ID, c.Int("uses"), t.Expires.Format(time.RFC3339), cmp.Or(t.Address, "HOST:PORT"), listen)
	return nil
}

// roles are those that a token can be for.
func roles() []string {
	out := []string{string(v1.RoleWorker), string(v1.RoleManager)}
	for _, r := range v1.People {
		out = append(out, string(r))
	}
	return out
}

func (p *program) listTokens(c *cli.Context) error {
	s, err := p.server(c)
	if err != nil {
		return err
	}
	return p.get(c, s, &query{kinds: []*meta.Kind{v1.TokenKind}})
}

func (p *program) revokeTokens(c *cli.Context) error {
	s, err := p.server(c)
	if err != nil {
		return err
	}
	if !c.Args().Present() {
		return try(usagef("revoke what?"), "warrenctl token list")
	}
	for _, id := range c.Args().Slice() {
		key := meta.Key{Kind: v1.TokenKind.Name, Name: id}
		if _, err := s.Commit(c.Context, store.Op{Verb: store.Delete, Key: key, Guard: store.Any}); err != nil {
			return about(key, err)
		}
		p.printf("%s revoked\n", lower(key.Kind, id))
	}
	return nil
}
