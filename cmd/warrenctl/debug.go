package warrenctl

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

func (p *program) debugVerb() *cli.Command {
	return &cli.Command{
		Name: "debug", Usage: "gather what a bug report needs", ArgsUsage: "bundle",
		Subcommands: []*cli.Command{{
			Name: "bundle", Usage: "write one archive about the node and all its resources, without secrets", Action: p.debugBundle,
			Description: "The archive holds versions, readiness, resources as YAML, events, why what does not run does not, metrics,\n" +
				"goroutines, memory and disk of the node that is asked, and the last lines of warren's own log. Values of environment\n" +
				"variables and what looks like a password in arguments are replaced by " + redacted + "; resources of kind Secret and the\n" +
				"node's keys are never in it. A part that cannot be had is a line in errors.txt. It is written for nobody else to read\n" +
				"(mode 0600); look at it before you send it. Its path is printed, what it holds is told on stderr.",
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "the `FILE` to write (default: warren-debug-NODE-TIME.tar.gz here)"},
				&cli.BoolFlag{Name: "with-env", Usage: "with the values of environment variables"},
				&cli.BoolFlag{Name: "logs", Usage: fmt.Sprintf("with the last %d lines of each task, as the task wrote them", bundleLogLines)},
			},
		}},
	}
}

// partWithin is how long one part may take: what hangs is what such a report is about.
const partWithin = 10 * time.Second

// investigation is one bundle in the making.
type investigation struct {
	*program
	s       *grpcstore.Store
	b       *bundle
	info    grpcstore.Info
	withEnv bool
	logs    bool
}

func (p *program) debugBundle(c *cli.Context) error {
	s, err := p.server(c)
	if err != nil {
		return err
	}
	v := &investigation{program: p, s: s, withEnv: c.Bool("with-env"), logs: c.Bool("logs")}
	infoErr := limited(c.Context, func(ctx context.Context) (err error) { v.info, err = s.Info(ctx); return err })
	if errors.Is(infoErr, store.ErrUnavailable) || c.Context.Err() != nil {
		return infoErr // nobody is there who could tell anything
	}
	name := "unknown"
	if v.info.Node != "" {
		name = v.info.Node
	}
	name = fmt.Sprintf("warren-debug-%s-%s", name, p.now().UTC().Format("20060102T150405Z"))
	path := c.String("output")
	if path == "" {
		path = name + ".tar.gz"
	}
	if v.b, err = newBundle(path, name, p.now()); err != nil {
		return fmt.Errorf("debug bundle: %w", err)
	}
	defer v.b.abandon()
	v.b.miss("node", infoErr)
	v.gather(c.Context)
	if c.Context.Err() != nil {
		return c.Context.Err()
	}
	if err := v.b.finish(v.leftOut()); err != nil {
		return fmt.Errorf("debug bundle: write %s: %w", path, err)
	}
	v.tell()
	p.printf("%s\n", path)
	return nil
}

// limited gives up a part that takes too long.
func limited(ctx context.Context, f func(context.Context) error) error {
	timed, cancel := context.WithTimeout(ctx, partWithin)
	defer cancel()
	err := f(timed)
	if err != nil && late(ctx, timed, err) {
		err = fmt.Errorf("no answer within %s", partWithin)
	}
	return err
}

// leftOut says what is not in the bundle on purpose.
func (v *investigation) leftOut() []string {
	out := []string{"keys, registry credentials and resources of kind Secret: never in a bundle"}
	if !v.withEnv {
		out = append(out, "values of environment variables, and what looks like a password: replaced by "+redacted+" (--with-env keeps the former)")
	}
	if !v.logs {
		out = append(out, "logs of tasks (--logs adds them)")
	}
	return out
}

// tell says what was written.
func (v *investigation) tell() {
	t := table{}
	for _, e := range v.b.entries {
		t = append(t, []string{"  " + e.name, fmt.Sprint(e.size)})
	}
	t.print(v.err)
	for _, line := range v.leftOut() {
		v.note("left out: %s", line)
	}
	for _, line := range v.b.errors {
		v.note("missing: %s", line)
	}
}
