package warrenctl

import (
	"errors"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"warren.io/warren/cmd/warrenctl/contexts"
)

func (p *program) configVerb() *cli.Command {
	return &cli.Command{
		Name: "config", Usage: "show, choose and change the clusters that you have logged in to", ArgsUsage: "get-contexts|use-context|current-context|set-context|delete-context ...",
		Subcommands: []*cli.Command{
			{Name: "get-contexts", Usage: "list them", Action: p.getContexts},
			{Name: "current-context", Usage: "print the one that is used where none is named", Action: p.currentContext},
			{Name: "use-context", Usage: "choose the one that is used where none is named", ArgsUsage: "NAME", Action: p.changeContext("is the current context",
				func(cfg *contexts.Config, x *contexts.Context, _ *cli.Context) error {
					cfg.Current = x.Name
					return nil
				})},
			{Name: "set-context", Usage: "change where the managers of a cluster are", ArgsUsage: "NAME", Action: p.changeContext("changed", setServers),
				Flags: []cli.Flag{&cli.StringFlag{Name: "servers", Usage: "HOST:PORT,HOST:PORT in the order in which they are tried"}}},
			{Name: "delete-context", Usage: "forget a cluster and your key for it; the cluster keeps the user", ArgsUsage: "NAME", Action: p.changeContext("deleted",
				func(cfg *contexts.Config, x *contexts.Context, _ *cli.Context) error { return cfg.Delete(x.Name) })},
		},
	}
}

func setServers(_ *contexts.Config, x *contexts.Context, c *cli.Context) error {
	servers := strings.Split(c.String("servers"), ",")
	if err := contexts.CheckServers(servers); err != nil {
		return usagef("--servers: %v", err)
	}
	x.Servers = servers
	return nil
}

func (p *program) loadConfig(c *cli.Context) (contexts.Config, error) {
	path, err := p.configPath(p.aim(c))
	if err != nil {
		return contexts.Config{}, err
	}
	return contexts.Load(path)
}

func (p *program) getContexts(c *cli.Context) error {
	cfg, err := p.loadConfig(c)
	if err != nil {
		return err
	}
	if len(cfg.Contexts) == 0 {
		p.note("no contexts")
		return nil
	}
	rows := table{{"CURRENT", "NAME", "SERVERS", "USER", "EXPIRES"}}
	for _, x := range cfg.Contexts {
		row := []string{"", x.Name, strings.Join(x.Servers, ","), "?", "?"}
		if x.Name == cfg.Current {
			row[0] = "*"
		}
		if u, err := x.Open(); err == nil {
			row[3], row[4] = u.Name(), u.Expires().UTC().Format(time.RFC3339)
		}
		rows = append(rows, row)
	}
	rows.print(p.out)
	return nil
}

func (p *program) currentContext(c *cli.Context) error {
	cfg, err := p.loadConfig(c)
	switch {
	case err != nil:
		return err
	case cfg.Current == "":
		return try(errors.New("there is no current context"), "warrenctl config get-contexts")
	}
	p.printf("%s\n", cfg.Current)
	return nil
}

// changeContext makes the action that does something to one context, which has to be there.
func (p *program) changeContext(done string, change func(*contexts.Config, *contexts.Context, *cli.Context) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.Args().Len() != 1 {
			return try(usagef("%s: which context?", c.Command.Name), "warrenctl config get-contexts")
		}
		path, err := p.configPath(p.aim(c))
		if err != nil {
			return err
		}
		name := c.Args().First()
		cfg, err := contexts.Load(path)
		if err != nil {
			return err
		}
		if _, err := cfg.Find(name); err != nil {
			return try(err, "warrenctl config get-contexts")
		}
		err = contexts.Change(path, func(cfg *contexts.Config) error {
			x, err := cfg.Find(name)
			if err != nil {
				return err
			}
			return change(cfg, x, c)
		})
		if err == nil {
			p.printf("context %q %s\n", name, done)
		}
		return err
	}
}
