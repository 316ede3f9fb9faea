package warrenctl

import (
	"strings"

	"github.com/urfave/cli/v2"
)

func (p *program) graphVerb() *cli.Command {
	return &cli.Command{
		Name: "graph", Usage: "show which controller reads and writes what",
		Description: "With -o dot the answer is input for graphviz: warrenctl graph -o dot | dot -Tsvg > graph.svg",
		Flags:       []cli.Flag{&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "text", Usage: "text or dot"}},
		Action: func(c *cli.Context) error {
			form := c.String("output")
			if form != "text" && form != "dot" {
				return usagef("output %q is not known; use text or dot", form)
			}
			s, err := p.server(c)
			if err != nil {
				return err
			}
			lines, err := s.Graph(c.Context)
			if err != nil {
				return err
			}
			if form == "dot" {
				p.dot(lines)
				return nil
			}
			t := table{{"CONTROLLER", "RUNS ON", "WORKS ON", "READS", "WRITES"}}
			for _, l := range lines {
				t = append(t, strings.Split(l, "\t"))
			}
			t.print(p.out)
			return nil
		},
	}
}

// dot draws controllers as boxes between the kinds that they read and the kinds that they write.
func (p *program) dot(lines []string) {
	p.printf("digraph warren {\n  rankdir=LR;\n")
	for _, l := range lines {
		f := append(strings.Split(l, "\t"), "", "", "", "", "")
		name := f[0]
		p.printf("  %q [shape=box, label=%q];\n", name, name+"\n"+f[1])
		for _, kind := range strings.Fields(f[3]) {
			p.printf("  %q -> %q;\n", kind, name)
		}
		for _, path := range strings.Fields(f[4]) {
			if kind, field, _ := strings.Cut(path, "."); kind != "-" {
				p.printf("  %q -> %q [label=%q];\n", name, kind, field)
			}
		}
	}
	p.printf("}\n")
}
