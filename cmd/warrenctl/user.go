package warrenctl

import (
	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

func (p *program) userVerb() *cli.Command {
	return &cli.Command{
		Name: "user", Usage: "list and remove users, and change what they may do", ArgsUsage: "list|set-role|rm ...",
		Subcommands: []*cli.Command{
			{Name: "list", Aliases: []string{"ls"}, Usage: "list those who have logged in", Action: p.listUsers},
			{Name: "set-role", Usage: "change what a user may do, from the next call on", ArgsUsage: "NAME viewer|operator|admin", Action: p.setRole},
			{Name: "rm", Aliases: []string{"remove"}, Usage: "remove users: what they may do ends at once", ArgsUsage: "NAME...", Action: p.removeUsers},
		},
	}
}

func (p *program) listUsers(c *cli.Context) error {
	s, err := p.server(c)
	if err != nil {
		return err
	}
	return p.get(c, s, &query{kinds: []*meta.Kind{v1.UserKind}})
}

func (p *program) setRole(c *cli.Context) error {
	if c.Args().Len() != 2 {
		return try(usagef("which user, and which role?"), "warrenctl user list")
	}
	name, role := c.Args().Get(0), v1.Role(c.Args().Get(1))
	if !role.OfPeople() {
		return usagef("%q is no role of people; there are viewer, operator and admin", role)
	}
	s, err := p.server(c)
	if err != nil {
		return err
	}
	return p.modify(c.Context, s, []meta.Key{{Kind: v1.UserKind.Name, Name: name}}, func(o meta.Object) (string, error) {
		o.(*v1.User).Spec.Role = role
		return "is " + string(role), nil
	})
}

func (p *program) removeUsers(c *cli.Context) error {
	if !c.Args().Present() {
		return try(usagef("remove whom?"), "warrenctl user list")
	}
	s, err := p.server(c)
	if err != nil {
		return err
	}
	for _, name := range c.Args().Slice() {
		key := meta.Key{Kind: v1.UserKind.Name, Name: name}
		if _, err := s.Commit(c.Context, store.Op{Verb: store.Delete, Key: key, Guard: store.Any}); err != nil {
			return about(key, err)
		}
		p.printf("%s removed\n", lower(key.Kind, name))
	}
	return nil
}
