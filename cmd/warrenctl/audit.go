package warrenctl

import (
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"warren.io/warren/runtime/store/grpcstore"
)

func (p *program) auditVerb() *cli.Command {
	return &cli.Command{
		Name: "audit", Usage: "show who changed what, oldest first",
		Description: "Every change that people and directories of manifests made, as the node wrote it to DATA_DIR/audit. Values are not in it.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "for", Usage: "only changes of KIND/NAME, also of one that is gone"},
			&cli.IntFlag{Name: "tail", Value: -1, Usage: "only the last N (default all)"},
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on with what comes"},
		},
		Action: func(c *cli.Context) error {
			q := grpcstore.AuditQuery{Tail: c.Int("tail"), Follow: c.Bool("follow")}
			if c.Args().Present() {
				return try(usagef("%q is too much", c.Args().First()), "warrenctl audit --for KIND/NAME")
			}
			if word := c.String("for"); word != "" {
				key, err := keyOf(word)
				if err != nil {
					return err
				}
				q.Key = key.String()
			}
			s, err := p.server(c)
			if err != nil {
				return err
			}
			none := true
			err = s.Audit(c.Context, q, func(x grpcstore.Change) error {
				none = false
				p.audited(x)
				return nil
			})
			if err == nil && none {
				p.note("nobody changed anything")
			}
			return err
		},
	}
}

// audited prints one line: when, who, what, and where it stands in the history of the store.
func (p *program) audited(x grpcstore.Change) {
	kind, name, _ := strings.Cut(x.Key, "/")
	what := lower(kind, name)
	if len(x.Fields) > 0 {
		what += ": " + strings.Join(x.Fields, ", ")
	}
	at := "revision " + number(x.Revision)
	if x.Revision == 0 {
		at = "nobody knows whether it came to be"
	}
	p.printf("%s\n", clean(x.Time.UTC().Format(time.RFC3339)+"  "+x.Author+" "+x.Verb+" "+what+" ("+at+")"))
}
