package warrenctl

import (
	"embed"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
)

//go:embed help/*.md
var topics embed.FS

func (p *program) helpVerb() *cli.Command {
	return &cli.Command{
		Name: "help", Usage: "explain a verb or a topic", ArgsUsage: "[VERB|TOPIC]",
		Action: func(c *cli.Context) error {
			word := c.Args().First()
			if word == "" {
				return p.usage(c.App, &line{})
			}
			for _, v := range c.App.Commands {
				if v.HasName(word) {
					return p.usage(c.App, &line{verb: v})
				}
			}
			return p.topic(c.App, word)
		},
	}
}

func (p *program) topic(app *cli.App, name string) error {
	if text, ok := Topic(name); ok {
		p.printf("%s", text)
		return nil
	}
	all := append(topicNames(), names(app.Commands)...)
	if near := meta.Suggest(name, all); near != "" {
		return usagef("no help on %q; did you mean %q?", name, near)
	}
	return usagef("no help on %q; there is help on %s", name, strings.Join(all, ", "))
}

// Topic returns the text of a help topic.
func Topic(name string) (string, bool) {
	text, err := topics.ReadFile("help/" + name + ".md")
	return string(text), err == nil
}

func topicNames() []string {
	entries, _ := topics.ReadDir("help") // embedded: always there
	var out []string
	for _, e := range entries {
		out = append(out, strings.TrimSuffix(e.Name(), ".md"))
	}
	return out
}

// usage prints what there is: all verbs, or one of them.
func (p *program) usage(app *cli.App, l *line) error {
	switch {
	case l.verb == nil:
		p.printf("warrenctl: %s\n\nUSAGE  warrenctl VERB [KIND[/NAME]] [FLAGS]\n\n", app.Usage)
		p.commands("VERBS", app.Commands)
		p.printf("\nTOPICS (warrenctl help TOPIC)\n  %s\n", strings.Join(topicNames(), ", "))
	case l.sub != nil:
		p.verb(l.verb.Name+" "+l.sub.Name, l.sub)
	default:
		p.verb(l.verb.Name, l.verb)
	}
	p.flags("FLAGS OF ALL VERBS", app.Flags)
	return nil
}

func (p *program) verb(name string, c *cli.Command) {
	p.printf("warrenctl %s: %s\n\nUSAGE  warrenctl %s %s\n", name, c.Usage, name, c.ArgsUsage)
	if c.Description != "" {
		p.printf("\n%s\n", c.Description)
	}
	if len(c.Subcommands) > 0 {
		p.printf("\n")
		p.commands("VERBS", c.Subcommands)
	}
	p.flags("FLAGS", c.Flags)
}

func (p *program) commands(title string, all []*cli.Command) {
	p.printf("%s\n", title)
	for _, c := range all {
		p.printf("  %-12s %s\n", c.Name, c.Usage)
	}
}

func (p *program) flags(title string, all []cli.Flag) {
	if len(all) == 0 {
		return
	}
	p.printf("\n%s\n", title)
	for _, f := range all {
		doc, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		var forms []string
		for _, n := range f.Names() {
			forms = append(forms, dashed(n))
		}
		text := strings.ReplaceAll(doc.GetUsage(), "`", "")
		if env := doc.GetEnvVars(); len(env) > 0 {
			text += fmt.Sprintf(" (or the variable %s)", strings.Join(env, ", "))
		}
		if v := strings.TrimSuffix(strings.Trim(doc.GetDefaultText(), `"`), "0s"); doc.TakesValue() && v != "" && v != "-1" {
			text += fmt.Sprintf(" (default %s)", v)
		}
		p.printf("  %-20s %s\n", strings.Join(forms, ", "), text)
	}
}
