package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/host/containerd/registry"
)

// Bounds of what may be asked for.
const (
	mostParallel = 64
	leastRate    = meta.Bytes(1 << 10)
)

// pullFlags say how images are fetched.
func pullFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "registry-credentials",
			Usage: "`FILE` with logins for registries, in the form of docker's config.json: auths, credHelpers, credsStore"},
		&cli.StringSliceFlag{Name: "registry-mirror",
			Usage: "`REGISTRY=URL` of a server to ask before a registry, like docker.io=https://mirror.example:5000; may be given several times"},
		&cli.StringFlag{Name: "registry-ca", Usage: "PEM `FILE` of authorities to believe, beside the system's, when speaking to registries"},
		&cli.IntFlag{Name: "pull-parallel", Value: registry.DefaultParallel, Usage: "fetch at most `N` layers at once, over all images"},
		&cli.StringFlag{Name: "pull-rate", Usage: "fetch at most so many `BYTES` a second, over all images, like 2Mi (default: no limit)"},
	}
}

// registryConfig reads them. Each error names the flag.
func registryConfig(c *cli.Context) (registry.Config, error) {
	out := registry.Config{Credentials: c.String("registry-credentials"), CA: c.String("registry-ca"), Parallel: c.Int("pull-parallel")}
	if out.Parallel < 1 || out.Parallel > mostParallel {
		return out, usageError{fmt.Errorf("--pull-parallel %d: use 1 to %d", out.Parallel, mostParallel)}
	}
	if text := c.String("pull-rate"); text != "" {
		rate, err := meta.ParseBytes(text)
		if err != nil {
			return out, usageError{fmt.Errorf("--pull-rate %q: %w", text, err)}
		}
		if rate < leastRate {
			return out, usageError{fmt.Errorf("--pull-rate %s: use at least %s", text, leastRate)}
		}
		out.Rate = int64(rate)
	}
	for _, text := range c.StringSlice("registry-mirror") {
		m, err := registry.ParseMirror(text)
		if err != nil {
			return out, usageError{fmt.Errorf("--registry-mirror %w", err)}
		}
		out.Mirrors = append(out.Mirrors, m)
	}
	if _, err := registry.New(out); err != nil {
		return out, usageError{fmt.Errorf("--registry-ca: %w", err)}
	}
	return out, nil
}
