package warrenctl

import "github.com/urfave/cli/v2"

func (p *program) versionVerb() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the versions of warrenctl and of the node",
		Action: func(c *cli.Context) error {
			p.printf("warrenctl  %s\n", Version)
			s, err := p.server(c)
			if err != nil {
				return err
			}
			info, err := s.Info(c.Context)
			if err != nil {
				return err
			}
			p.printf("warren     %s on node %s\n", info.Version, info.Node)
			return nil
		},
	}
}
