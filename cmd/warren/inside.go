package main

import (
	"context"
	"io"
	"net"

	"warren.io/warren/runtime/host"
)

// Exec implements host.Inside.
func (l *lateHost) Exec(ctx context.Context, task string, c host.Command) (int, error) {
	h, err := l.get()
	if err != nil {
		return 0, err
	}
	return h.Exec(ctx, task, c)
}

// DialTask implements host.Inside.
func (l *lateHost) DialTask(ctx context.Context, task string, port int) (net.Conn, error) {
	h, err := l.get()
	if err != nil {
		return nil, err
	}
	return h.DialTask(ctx, task, port)
}

// ReadFiles implements host.Inside.
func (l *lateHost) ReadFiles(ctx context.Context, task, path string, to io.Writer) error {
	h, err := l.get()
	if err != nil {
		return err
	}
	return h.ReadFiles(ctx, task, path, to)
}

// WriteFiles implements host.Inside.
func (l *lateHost) WriteFiles(ctx context.Context, task, path, name string, from io.Reader) error {
	h, err := l.get()
	if err != nil {
		return err
	}
	return h.WriteFiles(ctx, task, path, name, from)
}

// Usage implements host.Meter.
func (l *lateHost) Usage(ctx context.Context) (host.Usage, error) {
	h, err := l.get()
	if err != nil {
		return host.Usage{}, err
	}
	return h.Usage(ctx)
}

// WatchPulls implements host.Pulls.
func (l *lateHost) WatchPulls(ctx context.Context, emit func([]host.Pull) error) error {
	h, err := l.get()
	if err != nil {
		return err
	}
	return h.WatchPulls(ctx, emit)
}
