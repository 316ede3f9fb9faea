// Command warren is a node: manager and agent in one process. Called as warrenctl it is the command line.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"warren.io/warren/cmd/warrenctl"
	keys "warren.io/warren/runtime/identity"
)

// version is set by the build, and so is the time of the newest change in it, in seconds since 1970.
var version, built = "unknown", "0"

func main() {
	warrenctl.Version = version
	if seconds, err := strconv.ParseInt(built, 10, 64); err == nil && seconds > 0 {
		keys.Built(time.Unix(seconds, 0))
	}
	warrenctl.Recover = func(args []string) int {
		return exitCode(app().RunContext(context.Background(), append([]string{"warren", "recover"}, args...)))
	}
	if filepath.Base(os.Args[0]) == "warrenctl" {
		os.Exit(warrenctl.Main(os.Args[1:], os.Stdout, os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(exitCode(app().RunContext(ctx, behindFlags(os.Args))))
}

// Exit codes, the same as warrenctl's.
const (
	codeFailed = 1
	codeUsage  = 2
)

// usageError is a command that was written wrongly.
type usageError struct{ error }

func exitCode(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "warren: %v\ntry: warren help\n", err)
		return codeUsage
	}
	fmt.Fprintf(os.Stderr, "warren: %v\n", err)
	return codeFailed
}

func app() *cli.App {
	wrong := func(_ *cli.Context, err error, _ bool) error { return usageError{err} }
	a := &cli.App{
		Name: "warren", Usage: "run containers on a few machines at the edge", Version: version,
		ExitErrHandler: func(*cli.Context, error) {}, OnUsageError: wrong, Suggest: true,
		CommandNotFound: func(_ *cli.Context, name string) {
			os.Exit(exitCode(usageError{fmt.Errorf("unknown command %q", name)}))
		},
		Commands: []*cli.Command{runCommand(), joinCommand(), stopCommand(), resetCommand(), recoverCommand()},
	}
	for _, c := range a.Commands {
		c.OnUsageError = wrong
	}
	return a
}
