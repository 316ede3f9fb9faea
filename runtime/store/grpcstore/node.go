package grpcstore

import (
	"context"
	"errors"
	"fmt"
	"io"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/server/api"
	"warren.io/warren/runtime/store"
)

// Info and Check are what Info answers with.
type (
	Info  = api.Info
	Check = api.Check
)

// ErrNotServed is the class of calls for something that the node does not have.
var ErrNotServed = api.ErrNotServed

// ErrInvalid is the class of requests that can never succeed as they are.
var ErrInvalid = api.ErrInvalid

// InvalidErrors returns all the invalid objects that a refused commit was about.
func InvalidErrors(err error) []*store.InvalidError { return api.InvalidErrors(err) }

// Info asks the node who it is and how.
func (c *Conn) Info(ctx context.Context) (Info, error) {
	r, err := c.api.Info(ctx, &api.InfoRequest{})
	return r.Info(), c.explain(ctx, err)
}

// Graph returns the contracts of all controllers, one line each.
func (c *Conn) Graph(ctx context.Context) ([]string, error) {
	r, err := c.api.Graph(ctx, &api.GraphRequest{})
	return r.GetLines(), c.explain(ctx, err)
}

// Why asks why a task, a service or a node is as it is, and returns the lines of the answer.
func (c *Conn) Why(ctx context.Context, key meta.Key) ([]string, error) {
	r, err := c.api.Why(ctx, &api.WhyRequest{Key: api.ToKey(key)})
	return r.GetLines(), c.explain(ctx, err)
}

// Stop asks warren to stop; with tasks it first stops all that run on the node.
func (c *Conn) Stop(ctx context.Context, tasks bool) error {
	_, err := c.api.Stop(ctx, &api.StopRequest{Tasks: tasks})
	return c.explain(ctx, err)
}

// Logs calls emit for each line of a task, like host.Logs. An error of emit ends it and is returned.
func (c *Conn) Logs(ctx context.Context, task string, o host.LogOptions, emit func(host.LogLine) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, err := c.api.Logs(ctx, api.ToLogOptions(task, o))
	if err != nil {
		return c.explain(ctx, err)
	}
	for {
		m, err := in.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return c.explain(ctx, err)
		}
		for _, l := range m.GetLines() {
			if err := emit(l.Line()); err != nil {
				return err
			}
		}
	}
}

// ListImages returns the images of the node.
func (c *Conn) ListImages(ctx context.Context) ([]host.Image, error) {
	r, err := c.api.ListImages(ctx, &api.ListImagesRequest{})
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	return api.FromImages(r.GetImages()), nil
}

// RemoveImage deletes an image of the node by name or digest.
func (c *Conn) RemoveImage(ctx context.Context, image string) error {
	_, err := c.api.RemoveImage(ctx, &api.RemoveImageRequest{Image: image})
	return c.explain(ctx, err)
}

// PinImage keeps an image, by name or digest, from being collected for lack of space, or allows that again.
func (c *Conn) PinImage(ctx context.Context, image string, pinned bool) error {
	_, err := c.api.PinImage(ctx, &api.PinImageRequest{Image: image, Pinned: pinned})
	return c.explain(ctx, err)
}

// ImportImage sends an OCI or docker archive to the node and returns what it added. Of o only Pin has a meaning here.
func (c *Conn) ImportImage(ctx context.Context, archive io.Reader, o host.ImportOptions) ([]host.Image, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, err := c.api.ImportImage(ctx)
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	buf := make([]byte, api.Part)
	for {
		n, err := archive.Read(buf)
		if n > 0 {
			// An error of Send is only io.EOF; what it was about comes with the answer.
			if out.Send(&api.ImportImageRequest{Data: buf[:n], Pin: o.Pin}) != nil {
				break
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the archive: %w", err)
		}
	}
	r, err := out.CloseAndRecv()
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	return api.FromImages(r.GetImages()), nil
}
