package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// measureImport imports images by warrenctl, in turns with tar, which does the same work with the same bytes: the archive's
// parts on the disk, the layers' files beside them, all of it synced.
func measureImport(ctx context.Context, b *bench) error {
	return b.with(ctx, func(nodes ...*node) error {
		n := nodes[0]
		dir, err := os.MkdirTemp(filepath.Dir(n.host.DataDir), "import-")
		if err != nil {
			return err
		}
		var ours, bare, whole, ratios []float64
		var size, plain int64
		for i := range b.rounds(5, 2) {
			a, err := newArchive(dir, i)
			if err != nil {
				return err
			}
			size, plain = a.size, a.plain
			c, err := b.call(ctx, n, "image", "import", a.path)
			if err != nil {
				return err
			}
			first, both, err := a.byTar(ctx, dir)
			if err != nil {
				return err
			}
			ours, bare, whole = append(ours, a.rate(c.took)), append(bare, a.rate(first)), append(whole, a.rate(both))
			ratios = append(ratios, c.took.Seconds()/both.Seconds())
			_, err = b.call(ctx, n, "image", "rm", a.name)
			if err := errors.Join(err, os.Remove(a.path)); err != nil {
				return err
			}
		}
		b.report.add(
			row{Name: "image import", Value: median(ours), Unit: "MB/s", Samples: len(ours),
				Note: fmt.Sprintf("an archive of %d MiB, of the archive's bytes; %d MiB in 200 files when unpacked, which an import does", size/mib, plain/mib)},
			row{Name: "tar -x of the same archive", Value: median(bare), Unit: "MB/s", Samples: len(bare), Note: "interleaved; checks and unpacks nothing"},
			row{Name: "tar -x of it and of its layers", Value: median(whole), Unit: "MB/s", Samples: len(whole), Note: "interleaved; synced"},
			row{Name: "import over the latter", Value: median(ratios), Unit: "x", Samples: len(ratios)},
		)
		return nil
	}, "import")
}

func (a archive) rate(d time.Duration) float64 { return float64(a.size) / 1e6 / d.Seconds() }

// byTar unpacks the archive, and then its layers too.
func (a archive) byTar(ctx context.Context, dir string) (first, both time.Duration, err error) {
	to := filepath.Join(dir, "tar")
	if err := os.Mkdir(to, 0o755); err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(to)) }()
	began := time.Now()
	if _, err := output(exec.CommandContext(ctx, "tar", "-x", "-f", a.path, "-C", to)); err != nil {
		return 0, 0, err
	}
	first = time.Since(began)
	for _, l := range a.layers {
		if _, err := output(exec.CommandContext(ctx, "tar", "-x", "-z", "-f", filepath.Join(to, "blobs", "sha256", l), "-C", to)); err != nil {
			return 0, 0, err
		}
	}
	_, err = output(exec.CommandContext(ctx, "sync", "-f", to))
	return first, time.Since(began), err
}
