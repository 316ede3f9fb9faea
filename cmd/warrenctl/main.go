// Package warrenctl is the command line of Warren, one file for each verb: it says in words and tables what a node's API
// says in resources, and decides nothing itself. The binary warren runs Main when it is called warrenctl.
package warrenctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/store/grpcstore"
)

// Version is that of the program, set by the binary.
var Version = "unknown"

// DefaultServer is the socket of the node on this machine.
const DefaultServer = "unix:///run/warren/warren.sock"

// program is one call of warrenctl.
type program struct {
	in       io.Reader
	out, err io.Writer
	now      func() time.Time
	getenv   func(string) string
	// live tells that err is a terminal, on which lines may be written over.
	live bool
	conn *grpcstore.Store
	// typed are the flags of warrenctl itself that were given.
	typed []string
	// renewed is closed when a certificate was, where that is being done.
	renewed chan struct{}
	papers  *target // of a user
	// stale warns once.
	stale sync.Once
	// pulls are the images that the node fetches, for describe.
	pulls []host.Pull
}

// Main runs warrenctl with the arguments after the program's name and returns its exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p := &program{in: os.Stdin, out: stdout, err: stderr, now: time.Now, getenv: os.Getenv, live: isTerminal(stderr)}
	return p.main(ctx, args)
}

// whole is an output that remembers whether all of it was written: half a list is not done.
type whole struct {
	io.Writer
	err error
}

func (w *whole) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	if w.err == nil {
		w.err = err
	}
	return n, err
}

func (p *program) main(ctx context.Context, args []string) (code int) {
	defer p.unexpected(&code)
	out := &whole{Writer: p.out}
	p.out = out
	app := p.app()
	if len(args) > 0 && args[0] == completeVerb {
		return p.complete(ctx, app, args[1:])
	}
	line, err := arrange(app, args)
	if err == nil {
		p.typed = line.global
	}
	switch {
	case err != nil:
	case line.help:
		err = p.usage(app, line)
	default:
		err = app.RunContext(ctx, line.args(app.Name))
	}
	p.hangUp()
	if err == nil && out.err != nil {
		err = fmt.Errorf("print: %w", out.err)
	}
	if ctx.Err() != nil && err != nil && !isQuiet(err) {
		return codeInterrupted
	}
	return p.explain(err)
}

// app has all verbs in the order in which help shows them.
func (p *program) app() *cli.App {
	app := &cli.App{
		Name:            "warrenctl",
		Usage:           "use a Warren cluster",
		HideHelpCommand: true,
		HideHelp:        true,
		HideVersion:     true,
		ExitErrHandler:  func(*cli.Context, error) {},
		Writer:          p.out,
		ErrWriter:       p.err,
		Flags:           globals(),
		Commands: []*cli.Command{
			p.applyVerb(), p.diffVerb(), p.getVerb(), p.describeVerb(), p.whyVerb(), p.deleteVerb(), p.editVerb(), p.labelVerb(),
			p.annotateVerb(), p.scaleVerb(), p.restartVerb(), p.waitVerb(),
			p.logsVerb(), p.execVerb(), p.cpVerb(), p.forwardVerb(), p.topVerb(), p.tokenVerb(), p.userVerb(), p.loginVerb(), p.whoamiVerb(), p.configVerb(), p.clusterVerb(), p.eventsVerb(), p.auditVerb(), p.graphVerb(), p.nodeVerb(), p.imageVerb(), p.backupVerb(), p.debugVerb(), p.explainVerb(), p.schemaVerb(), p.completionVerb(), p.versionVerb(), p.helpVerb(),
		},
		OnUsageError: badValue,
	}
	quiet(app.Commands)
	return app
}

// quiet keeps the cli package from printing help of its own.
func quiet(all []*cli.Command) {
	for _, c := range all {
		c.HideHelp, c.OnUsageError = true, badValue
		quiet(c.Subcommands)
	}
}

// nodeFlag is of verbs that look at one machine.
func nodeFlag() cli.Flag {
	return &cli.StringFlag{Name: "node", Usage: "of the node of this name (default: the one that is asked)"}
}

// server returns the connection to the node; it is made when first asked for. A node that is named by flag is what all calls
// of the verb are for.
func (p *program) server(c *cli.Context) (*grpcstore.Store, error) {
	if name := c.String("node"); name != "" {
		c.Context = grpcstore.ForNode(c.Context, name)
	}
	return p.dial(p.aim(c))
}

// tellStale warns once that what is printed may be old.
func (p *program) tellStale(text string) {
	p.stale.Do(func() { p.note("warning: %s", text) })
}

func (p *program) printf(format string, args ...any) { _, _ = fmt.Fprintf(p.out, format, args...) }

// note tells people something that is no result.
func (p *program) note(format string, args ...any) { _, _ = fmt.Fprintf(p.err, format+"\n", args...) }

// isQuiet tells whether an error only carries an exit code.
func isQuiet(err error) bool {
	var e *exit
	return errors.As(err, &e) && e.error == nil
}

// lower writes a key as people type it: service/web.
func lower(kind, name string) string { return strings.ToLower(kind) + "/" + name }
