package warrenctl

import (
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

func (p *program) clusterVerb() *cli.Command {
	return &cli.Command{
		Name: "cluster", Usage: "see how the managers are, and replace the authority", ArgsUsage: "status|rotate-ca",
		Subcommands: []*cli.Command{
			{Name: "status", Usage: "list the managers, who leads, and who can be reached from the one that is asked", Action: p.clusterStatus,
				Flags: []cli.Flag{&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "json, or a table"}}},
			p.rotateVerb(),
		},
	}
}

func (p *program) clusterStatus(c *cli.Context) error {
	if o := c.String("output"); o != "" && o != "json" {
		return usagef("-o %q: write json, or leave it out", o)
	}
	s, err := p.server(c)
	if err != nil {
		return err
	}
	all, err := s.Managers(c.Context, false)
	if err != nil {
		return err
	}
	if c.String("output") == "json" {
		e := json.NewEncoder(p.out)
		e.SetIndent("", "  ")
		return e.Encode(all)
	}
	t := table{{"MANAGER", "ROLE", "REACHABLE", "ADDRESS"}}
	for _, m := range all {
		t = append(t, []string{m.Name, roleOf(m), yesNo(m.Reachable), m.Address})
	}
	t.print(p.out)
	p.remarks(all)
	if o, err := s.Get(c.Context, theCluster); err == nil {
		if line := rotation(o.(*v1.Cluster)); line != "" {
			p.note("authority: %s", clean(line))
		}
	}
	return nil
}

func roleOf(m grpcstore.MemberState) string {
	switch {
	case m.Leader:
		return "leader"
	case m.Voter:
		return "follower"
	}
	return "joining"
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// remarks tells what is wrong, or will be.
func (p *program) remarks(all []grpcstore.MemberState) {
	for _, m := range all {
		if m.Detail != "" {
			p.note("%s: %s", m.Name, m.Detail)
		}
	}
}

func (p *program) promote(c *cli.Context) error {
	return p.roles(c, v1.RoleManager, "becomes a manager; see warrenctl cluster status")
}

func (p *program) demote(c *cli.Context) error {
	return p.roles(c, v1.RoleWorker, "becomes a worker; see warrenctl cluster status")
}

// roles changes what nodes shall be, all that are named or none, and says what is left of the majority.
func (p *program) roles(c *cli.Context, role v1.Role, done string) error {
	keys, err := nodesNamed(c)
	if err != nil {
		return err
	}
	s, err := p.server(c)
	if err != nil {
		return err
	}
	change := 0
	err = p.modify(c.Context, s, keys, func(o meta.Object) (string, error) {
		n := o.(*v1.Node)
		switch {
		case n.Status.Role == role && (n.Spec.Role == role || n.Spec.Role == ""):
			return "is a " + string(role) + " already", nil
		case role == v1.RoleManager && n.Status.Address == "":
			return "", try(fmt.Errorf("node %q: %w: it has no address at which the other managers would reach it", n.Metadata.Name, store.ErrForbidden),
				"warren run --listen HOST:PORT there, once")
		case role == v1.RoleManager:
			change++
		default:
			change--
		}
		n.Spec.Role = role
		return done, nil
	})
	if err != nil {
		return err
	}
	p.warnEven(c, s, change)
	return nil
}

// warnEven tells why an even number of managers is no better than one less.
func (p *program) warnEven(c *cli.Context, s *grpcstore.Store, change int) {
	all, err := s.Managers(c.Context, false)
	if n := len(all) + change; err == nil && change != 0 && n > 0 && n%2 == 0 {
		p.note("warning: of %d managers no more may fail than of %d, and any of them can: have %d or %d", n, n-1, n-1, n+1)
	}
}
