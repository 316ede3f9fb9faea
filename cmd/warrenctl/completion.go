package warrenctl

import (
	"embed"

	"github.com/urfave/cli/v2"
)

//go:embed completion/*
var completions embed.FS

func (p *program) completionVerb() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print what teaches a shell to complete warrenctl", ArgsUsage: "bash|zsh|fish",
		Description: "Names of resources come from the node; if it does not answer at once, there are none.\n\n" +
			"  bash   add to ~/.bashrc:   source <(warrenctl completion bash)\n" +
			"  zsh    add to ~/.zshrc:    source <(warrenctl completion zsh)\n" +
			"  fish   once:               warrenctl completion fish > ~/.config/fish/completions/warrenctl.fish",
		Action: func(c *cli.Context) error {
			if c.Args().Len() != 1 {
				return try(usagef("completion for which shell?"), "warrenctl completion bash")
			}
			text, err := completions.ReadFile("completion/" + c.Args().First())
			if err != nil {
				return usagef("no completion for %q; there is bash, zsh and fish", c.Args().First())
			}
			p.printf("%s", text)
			return nil
		},
	}
}
