package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/containerd"
	"warren.io/warren/runtime/server"
)

func imageFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "images", Usage: "import the image archives in this `DIR` before the manifests are applied, and new ones whenever they come"},
		&cli.IntFlag{Name: "image-gc-high", Value: 85, Usage: "remove images that nobody needs when more than this `PERCENT` of the disk is in use; 100: never"},
		&cli.IntFlag{Name: "image-gc-low", Value: 75, Usage: "and go on until no more than this `PERCENT` is"},
		&cli.DurationFlag{Name: "image-gc-min-age", Value: 10 * time.Minute, Usage: "leave an image alone for this `TIME` after it came or was used"},
	}
}

func imageConfig(c *cli.Context) (dir string, gc containerd.ImageGC, err error) {
	gc = containerd.ImageGC{High: c.Int("image-gc-high"), Low: c.Int("image-gc-low"), MinAge: c.Duration("image-gc-min-age")}
	switch {
	case gc.High < 1 || gc.High > 100:
		err = fmt.Errorf("--image-gc-high %d: must be 1 to 100 percent", gc.High)
	case gc.Low < 0 || gc.Low >= gc.High:
		err = fmt.Errorf("--image-gc-low %d: must be 0 or more and below --image-gc-high, which is %d", gc.Low, gc.High)
	case gc.MinAge < 0:
		err = fmt.Errorf("--image-gc-min-age %s: must not be negative", gc.MinAge)
	}
	if err != nil {
		return "", gc, usageError{err}
	}
	if dir = c.String("images"); dir != "" {
		dir, err = filepath.Abs(dir)
	}
	return dir, gc, err
}

// maxRemarks is how many remarks of the host may wait to be stored; more are in the log only.
const maxRemarks = 64

// remark takes what the host wants people to hear.
func (n *node) remark(r host.Remark) {
	if r.Reason == host.ReasonImageDamaged {
		n.brought.look() // an archive may have what is missing
	}
	select {
	case n.remarks <- r:
	default:
	}
}

// passOn makes events about this node of what the host has to say.
func (n *node) passOn(ctx context.Context) {
	for {
		select {
		case r := <-n.remarks:
			n.tellNode(ctx, r)
		case <-ctx.Done():
			return
		}
	}
}

// tellNode writes an event about this node and its images.
func (n *node) tellNode(ctx context.Context, r host.Remark) {
	about := meta.Key{Kind: v1.NodeKind.Name, Name: n.id.Name}
	n.tellOf(ctx, imagesSource, control.Note{About: about, Warning: r.Warning, Reason: r.Reason, Message: r.Message})
}

// imageCheck is the line of /readyz about images. Their troubles do not keep a node from working.
func imageCheck(warnings []string) server.Check {
	c := server.Check{Name: "images", OK: true}
	if len(warnings) > 0 {
		c.Message = "warning: " + strings.Join(warnings, "; ")
	}
	return c
}

// Import implements host.Images.
func (l *lateHost) Import(ctx context.Context, r io.Reader, o host.ImportOptions) ([]host.Image, error) {
	h, err := l.get()
	if err != nil {
		return nil, err
	}
	return h.Import(ctx, r, o)
}

// List implements host.Images.
func (l *lateHost) List(ctx context.Context) ([]host.Image, error) {
	h, err := l.get()
	if err != nil {
		return nil, err
	}
	return h.List(ctx)
}

// Remove implements host.Images.
func (l *lateHost) Remove(ctx context.Context, ref string) error {
	h, err := l.get()
	if err != nil {
		return err
	}
	return h.Remove(ctx, ref)
}

// Pin implements host.Images.
func (l *lateHost) Pin(ctx context.Context, ref string, pinned bool) error {
	h, err := l.get()
	if err != nil {
		return err
	}
	return h.Pin(ctx, ref, pinned)
}
