package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"
)

// The library's own printer uses text/template, which calls methods by name: with it the linker must keep every method of
// every type in the binary, some 5 MiB. See hack/slim.
func init() {
	cli.HelpPrinter = func(w io.Writer, _ string, about any) { printHelp(w, about) }
	cli.HelpPrinterCustom = func(w io.Writer, _ string, about any, _ map[string]any) { printHelp(w, about) }
}

// printHelp writes what there is to know about the program or one of its commands.
func printHelp(w io.Writer, about any) {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer out.Flush()
	switch x := about.(type) {
	case *cli.App:
		fmt.Fprintf(out, "warren: %s\n\nUSAGE  warren COMMAND [FLAGS]\n\nCOMMANDS\n", x.Usage)
		printCommands(out, x.VisibleCommands())
		printFlags(out, x.VisibleFlags())
		fmt.Fprint(out, "\nMore: warren help COMMAND; to use a node that runs: warrenctl help\n")
	case *cli.Command:
		fmt.Fprintf(out, "%s: %s\n\nUSAGE  %s %s\n", cmp.Or(x.HelpName, x.Name), x.Usage, cmp.Or(x.HelpName, x.Name), cmp.Or(x.ArgsUsage, "[FLAGS]"))
		if x.Description != "" {
			fmt.Fprintf(out, "\n%s\n", x.Description)
		}
		printFlags(out, x.VisibleFlags())
	}
}

func printCommands(out io.Writer, all []*cli.Command) {
	for _, c := range all {
		fmt.Fprintf(out, "  %s\t%s\n", strings.Join(c.Names(), ", "), c.Usage)
	}
}

// printFlags writes a line for each flag: its names with what it takes, what it does, its default and its variable.
func printFlags(out io.Writer, all []cli.Flag) {
	if len(all) == 0 {
		return
	}
	fmt.Fprint(out, "\nFLAGS\n")
	for _, f := range all {
		names, usage, _ := strings.Cut(f.String(), "\t")
		names, _, _ = strings.Cut(names, " [ --") // of flags that may be given several times
		fmt.Fprintf(out, "  %s\t%s\n", names, usage)
	}
}
