package warrenctl

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
)

func (p *program) imageVerb() *cli.Command {
	return &cli.Command{
		Name: "image", Usage: "bring images to the node, list and remove them", ArgsUsage: "import|list|rm ...",
		Subcommands: []*cli.Command{
			{Name: "import", Usage: "bring images from OCI or docker archives to the node", ArgsUsage: "FILE|-...", Action: p.importImages},
			{Name: "list", Aliases: []string{"ls"}, Usage: "list the images of the node", Action: p.listImages},
			{Name: "rm", Aliases: []string{"remove"}, Usage: "remove images from the node", ArgsUsage: "NAME|DIGEST...", Action: p.removeImages},
		},
	}
}

func (p *program) importImages(c *cli.Context) error {
	s, err := p.server(c)
	if err != nil {
		return err
	}
	if !c.Args().Present() {
		return try(usagef("import what?"), "warrenctl image import FILE.tar")
	}
	for _, name := range c.Args().Slice() {
		in, size := io.NopCloser(p.in), int64(0)
		if name != "-" {
			f, err := os.Open(name)
			if err != nil {
				return fmt.Errorf("import: %w", err)
			}
			if info, err := f.Stat(); err == nil {
				size = info.Size()
			}
			in = f
		}
		images, err := s.ImportImage(c.Context, &progress{Reader: in, p: p, name: name, size: size})
		_ = in.Close()
		if p.live {
			_, _ = fmt.Fprint(p.err, "\r\x1b[K")
		}
		if err != nil {
			return fmt.Errorf("import %s: %w", name, err)
		}
		for _, i := range images {
			p.printf("image %s imported\n", i.Name)
		}
	}
	return nil
}

// progress shows on a terminal how far a file was read.
type progress struct {
	io.Reader
	p          *program
	name       string
	size, read int64
	shown      time.Time
}

func (r *progress) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.read += int64(n)
	if now := r.p.now(); r.p.live && now.Sub(r.shown) > 100*time.Millisecond {
		r.shown = now
		_, _ = fmt.Fprintf(r.p.err, "\r\x1b[K%s: %s of %s", r.name, v1.Size(meta.Bytes(r.read)), v1.Size(meta.Bytes(r.size)))
	}
	return n, err
}

func (p *program) listImages(c *cli.Context) error {
	s, err := p.server(c)
	if err != nil {
		return err
	}
	images, err := s.ListImages(c.Context)
	if err != nil {
		return err
	}
	if len(images) == 0 {
		p.note("no images")
	}
	t := table{{"NAME", "DIGEST", "SIZE", "PLATFORMS", "AGE"}}
	for _, i := range images {
		t = append(t, []string{i.Name, i.Digest[:min(len(i.Digest), 19)], v1.Size(meta.Bytes(i.Size)), strings.Join(i.Platforms, ","), v1.Age(i.Created, p.now())})
	}
	t.print(p.out)
	return nil
}

func (p *program) removeImages(c *cli.Context) error {
	s, err := p.server(c)
	if err != nil {
		return err
	}
	if !c.Args().Present() {
		return try(usagef("remove which image?"), "warrenctl image list")
	}
	for _, name := range c.Args().Slice() {
		err := s.RemoveImage(c.Context, name)
		switch {
		case errors.Is(err, host.ErrNotFound):
			return try(fmt.Errorf("image %q: not found", name), "warrenctl image list")
		case err != nil:
			return err
		}
		p.printf("image %s removed\n", name)
	}
	return nil
}
