package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/host/containerd"
	"warren.io/warren/runtime/host/containerd/registry"
)

// config is what a node is started with.
type config struct {
	dataDir, runDir, name string
	containerd, manifests string
	metricsAddr           string
	registry              registry.Config
	images                string // directory of archives
	imageGC               containerd.ImageGC
	listen, advertise     string // where others reach this node, and by which name
	unlockFile            string // of the unlock key
	named                 string // what --advertise says
	pprof                 bool
	log                   logr.Logger
	lines                 *lastLines // of log
	backups               backupConfig
}

func dirFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "data-dir", Value: "/var/lib/warren", EnvVars: []string{"WARREN_DATA_DIR"},
			Usage: "everything that outlives a reboot"},
		&cli.StringFlag{Name: "run-dir", Value: "/run/warren", EnvVars: []string{"WARREN_RUN_DIR"},
			Usage: "sockets and what a reboot may empty"},
	}
}

func runFlags() []cli.Flag {
	return append(slices.Concat(dirFlags(), pullFlags(), imageFlags(), backupFlags()),
		&cli.StringFlag{Name: "node-name", Usage: "name of this node, once for all (default: the host name)"},
		&cli.StringFlag{Name: "manifests", Usage: "apply this `DIR` at boot and whenever it changes"},
		&cli.StringFlag{Name: "containerd", Usage: "use the containerd at this `SOCKET` instead of the one inside"},
		&cli.StringFlag{Name: "listen", Usage: "serve the API on this `HOST:PORT`, too, to holders of the keys in DATA_DIR/keys"},
		&cli.StringFlag{Name: "advertise", Usage: "other machines reach --listen by this `HOST:PORT` (default: that of --listen)"},
		&cli.StringFlag{Name: "unlock-key-file", EnvVars: []string{"WARREN_UNLOCK_KEY_FILE"}, Usage: "the unlock key of the cluster is in this `FILE` (default: DATA_DIR/keys/unlock.key, made at the first start)"},
		&cli.StringFlag{Name: "metrics-listen", Usage: "serve /healthz, /readyz and /metrics on this loopback `HOST:PORT`, too"},
		&cli.BoolFlag{Name: "pprof", Usage: "serve profiles of this process at /debug/pprof/, on its own socket only"},
		&cli.StringFlag{Name: "log-format", Value: "text", Usage: "text or json"},
		&cli.StringFlag{Name: "log-level", Value: "info", Usage: "debug, info, warn or error"},
	)
}

func readConfig(c *cli.Context) (config, error) {
	cfg := config{containerd: c.String("containerd"), manifests: c.String("manifests"), name: c.String("node-name"),
		metricsAddr: c.String("metrics-listen"), listen: c.String("listen"), advertise: c.String("advertise"), unlockFile: c.String("unlock-key-file"), pprof: c.Bool("pprof"), lines: &lastLines{}}
	var err error
	cfg.named = cfg.advertise
	if cfg.listen, cfg.advertise, err = addresses(cfg.listen, cfg.advertise); err != nil {
		return cfg, usageError{err}
	}
	if cfg.log, err = newLog(io.MultiWriter(cfg.lines, os.Stderr), c.String("log-format"), c.String("log-level")); err != nil {
		return cfg, usageError{err}
	}
	if cfg.registry, err = registryConfig(c); err != nil {
		return cfg, err
	}
	if cfg.images, cfg.imageGC, err = imageConfig(c); err != nil {
		return cfg, err
	}
	if cfg.backups, err = readBackupConfig(c); err != nil {
		return cfg, err
	}
	if cfg.dataDir, cfg.runDir, err = dirs(c); err != nil {
		return cfg, err
	}
	if why := meta.CheckName(cfg.name); cfg.name != "" && why != "" {
		return cfg, usageError{fmt.Errorf("--node-name %s", why)}
	}
	if cfg.manifests != "" {
		cfg.manifests, err = filepath.Abs(cfg.manifests)
	}
	return cfg, err
}

// addresses checks where a node listens and by which address others reach it; a wildcard is none.
func addresses(listen, advertise string) (string, string, error) {
	if listen == "" {
		if advertise != "" {
			return "", "", fmt.Errorf("--advertise %s: it says by which address others reach --listen, which is missing", advertise)
		}
		return "", "", nil
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return "", "", fmt.Errorf("--listen %q: write HOST:PORT", listen)
	}
	if advertise == "" {
		if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
			advertise = listen
		}
		return listen, advertise, nil
	}
	if host, _, err := net.SplitHostPort(advertise); err != nil || host == "" {
		return "", "", fmt.Errorf("--advertise %q: write HOST:PORT", advertise)
	}
	return listen, advertise, nil
}

func dirs(c *cli.Context) (data, run string, err error) {
	if data, err = filepath.Abs(c.String("data-dir")); err == nil {
		run, err = filepath.Abs(c.String("run-dir"))
	}
	if err == nil && (data == run || data == "/" || run == "/") {
		err = usageError{fmt.Errorf("--data-dir %s and --run-dir %s: two folders of their own are needed", data, run)}
	}
	return data, run, err
}

func newLog(to io.Writer, format, level string) (logr.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return logr.Logger{}, fmt.Errorf("--log-level %q: use debug, info, warn or error", level)
	}
	o := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return logr.FromSlogHandler(slog.NewTextHandler(to, o)), nil
	case "json":
		return logr.FromSlogHandler(slog.NewJSONHandler(to, o)), nil
	}
	return logr.Logger{}, fmt.Errorf("--log-format %q: use text or json", format)
}

var notInNames = regexp.MustCompile(`[^a-z0-9.-]+`)

// defaultName makes a node's name of the host's.
func defaultName() string {
	h, err := os.Hostname()
	if n := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(h), "-"), "-."); err == nil && meta.CheckName(n) == "" {
		return n
	}
	return "node"
}
