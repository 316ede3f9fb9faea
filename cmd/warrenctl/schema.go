package warrenctl

import (
	"encoding/json"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
)

func (p *program) schemaVerb() *cli.Command {
	return &cli.Command{
		Name: "schema", Usage: "print the JSON Schema of manifests, for editors", ArgsUsage: "[KIND...]",
		Description: "It needs no node. With the YAML extension of an editor, a first line in a manifest like\n" +
			"  # yaml-language-server: $schema=warren.schema.json\n" +
			"after warrenctl schema > warren.schema.json shows mistakes and completes fields while you type.",
		Action: func(c *cli.Context) error {
			kinds := v1.Kinds
			if c.Args().Present() {
				kinds = nil
			}
			for _, word := range c.Args().Slice() {
				k, err := kindOf(word)
				if err != nil {
					return err
				}
				kinds = append(kinds, k)
			}
			var roots []*meta.Field
			for _, k := range kinds {
				roots = append(roots, v1.Outline(k))
			}
			enc := json.NewEncoder(p.out)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", "  ")
			return enc.Encode(meta.Schema(roots...))
		},
	}
}
