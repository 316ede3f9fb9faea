package control

import (
	"fmt"
	"strings"
)

// Graph describes contracts as lines of text: who works on what, reads what, writes what.
func Graph(all []Contract) []string {
	var out []string
	for _, c := range all {
		work := c.Kind
		if work == "" {
			work = "one"
		}
		var reads []string
		for _, in := range c.Reads {
			reads = append(reads, in.Kind)
		}
		writes := strings.Join(c.Writes, " ")
		if writes == "" {
			writes = "-"
		}
		out = append(out, fmt.Sprintf("%s\t%s\t%s\t%s\t%s", c.Name, c.Runs, work, strings.Join(reads, " "), writes))
	}
	return out
}
