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
	"warren.io/warren/runtime/store/grpcstore"
)

func (p *program) imageVerb() *cli.Command {
	return &cli.Command{
		Name: "image", Usage: "bring images to the node, list, pin and remove them", ArgsUsage: "import|list|pin|unpin|rm ...",
		Subcommands: []*cli.Command{
			{Name: "import", Usage: "bring images from OCI or docker archives to the node", ArgsUsage: "FILE|-...", Action: p.importImages,
				Flags: []cli.Flag{&cli.BoolFlag{Name: "pin", Usage: "never collect them when the disk gets full"}, nodeFlag()}},
			{Name: "list", Aliases: []string{"ls"}, Usage: "list the images of the node", Action: p.listImages, Flags: []cli.Flag{nodeFlag()}},
			{Name: "pin", Usage: "never collect images when the disk gets full", ArgsUsage: "NAME|DIGEST...", Action: p.pinImages(true, "pinned"), Flags: []cli.Flag{nodeFlag()}},
			{Name: "unpin", Usage: "let pinned images be collected again", ArgsUsage: "NAME|DIGEST...", Action: p.pinImages(false, "unpinned"), Flags: []cli.Flag{nodeFlag()}},
			{Name: "rm", Aliases: []string{"remove"}, Usage: "remove images from the node", ArgsUsage: "NAME|DIGEST...", Action: p.removeImages, Flags: []cli.Flag{nodeFlag()}},
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
		images, err := s.ImportImage(c.Context, &progress{Reader: in, p: p, name: name, size: size}, host.ImportOptions{Pin: c.Bool("pin")})
		_ = in.Close()
		if p.live {
			_, _ = fmt.Fprint(p.err, "\r\x1b[K")
		}
		if err != nil && strings.Contains(err.Error(), "archive/tar: ") {
			return try(fmt.Errorf("import %s: this is no archive of images", name), "docker save IMAGE > FILE.tar, or skopeo copy docker://IMAGE oci-archive:FILE.tar")
		}
		if err != nil {
			return fmt.Errorf("import %s: %w", name, err)
		}
		for _, i := range images {
			p.printf("image %s imported%s\n", i.Name, pinnedToo(c.Bool("pin")))
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
	return p.showImages(c.Context, s, "")
}

func pinnedToo(pinned bool) string {
	if pinned {
		return " and pinned"
	}
	return ""
}

// pinImages makes the action that pins images, or the one that does the opposite.
func (p *program) pinImages(pinned bool, done string) cli.ActionFunc {
	return func(c *cli.Context) error {
		return p.eachImage(c, c.Command.Name, done, func(s *grpcstore.Store, name string) error { return s.PinImage(c.Context, name, pinned) })
	}
}

func (p *program) removeImages(c *cli.Context) error {
	return p.eachImage(c, "remove", "removed", func(s *grpcstore.Store, name string) error { return s.RemoveImage(c.Context, name) })
}

// eachImage does something to all images that are named.
func (p *program) eachImage(c *cli.Context, verb, done string, do func(*grpcstore.Store, string) error) error {
	s, err := p.server(c)
	if err != nil {
		return err
	}
	if !c.Args().Present() {
		return try(usagef("%s which image?", verb), "warrenctl image list")
	}
	for _, name := range c.Args().Slice() {
		err := do(s, name)
		switch {
		case errors.Is(err, host.ErrNotFound):
			return try(fmt.Errorf("image %q: not found", name), "warrenctl image list")
		case err != nil:
			return err
		}
		p.printf("image %s %s\n", name, done)
	}
	return nil
}
