package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/server"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

// machines is what can be asked of a machine as a whole.
type machines interface {
	host.Images
	host.Pulls
	host.Meter
}

// faraway is another node's machine.
type faraway struct{ *grpcstore.Store }

// Import implements host.Images.
func (f faraway) Import(ctx context.Context, r io.Reader, o host.ImportOptions) ([]host.Image, error) {
	return f.ImportImage(ctx, r, o)
}

// List implements host.Images.
func (f faraway) List(ctx context.Context) ([]host.Image, error) { return f.ListImages(ctx) }

// Remove implements host.Images.
func (f faraway) Remove(ctx context.Context, ref string) error { return f.RemoveImage(ctx, ref) }

// Pin implements host.Images.
func (f faraway) Pin(ctx context.Context, ref string, pinned bool) error {
	return f.PinImage(ctx, ref, pinned)
}

// machine is the one that a call is for.
func (e everywhere) machine(ctx context.Context) (machines, error) {
	name := server.ForNode(ctx)
	if name == "" || name == e.node.id.Name {
		return &e.node.hosts, nil
	}
	if e.node.id.worker() {
		return nil, e.node.askManager()
	}
	_, err := e.node.late.Get(ctx, meta.Key{Kind: v1.NodeKind.Name, Name: name})
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("node %q: %w\ntry: warrenctl get nodes", name, store.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	there, err := e.node.office.reach(name)
	return faraway{there}, err
}

// Import implements host.Images.
func (e everywhere) Import(ctx context.Context, r io.Reader, o host.ImportOptions) ([]host.Image, error) {
	m, err := e.machine(ctx)
	if err != nil {
		return nil, err
	}
	return m.Import(ctx, r, o)
}

// List implements host.Images.
func (e everywhere) List(ctx context.Context) ([]host.Image, error) {
	m, err := e.machine(ctx)
	if err != nil {
		return nil, err
	}
	return m.List(ctx)
}

// Remove implements host.Images.
func (e everywhere) Remove(ctx context.Context, ref string) error {
	m, err := e.machine(ctx)
	if err != nil {
		return err
	}
	return m.Remove(ctx, ref)
}

// Pin implements host.Images.
func (e everywhere) Pin(ctx context.Context, ref string, pinned bool) error {
	m, err := e.machine(ctx)
	if err != nil {
		return err
	}
	return m.Pin(ctx, ref, pinned)
}

// WatchPulls implements host.Pulls.
func (e everywhere) WatchPulls(ctx context.Context, emit func([]host.Pull) error) error {
	m, err := e.machine(ctx)
	if err != nil {
		return err
	}
	return m.WatchPulls(ctx, emit)
}

// Usage implements host.Meter.
func (e everywhere) Usage(ctx context.Context) (host.Usage, error) {
	m, err := e.machine(ctx)
	if err != nil {
		return host.Usage{}, err
	}
	return m.Usage(ctx)
}
