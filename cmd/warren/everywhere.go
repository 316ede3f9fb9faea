package main

import (
	"context"
	"io"
	"net"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/store/grpcstore"
)

// everywhere finds the node that a task is on. A manager passes on what is about a task elsewhere; a worker has its own only.
type everywhere struct{ node *node }

// elsewhere is the node that a task is on, nil for this one and for tasks that nobody knows: about those the host says so.
func (e everywhere) elsewhere(ctx context.Context, task string) (*grpcstore.Store, error) {
	if e.node.id.worker() {
		return nil, nil
	}
	o, err := e.node.late.Get(ctx, meta.Key{Kind: v1.TaskKind.Name, Name: task})
	if err != nil {
		return nil, nil
	}
	node := o.(*v1.Task).Spec.Node
	if node == "" || node == e.node.id.Name {
		return nil, nil
	}
	return e.node.office.reach(node)
}

// Read implements host.Logs.
func (e everywhere) Read(ctx context.Context, task string, o host.LogOptions, emit func(host.LogLine) error) error {
	other, err := e.elsewhere(ctx, task)
	if err != nil {
		return err
	}
	if other != nil {
		return other.Logs(ctx, task, o, emit)
	}
	return e.node.hosts.Read(ctx, task, o, emit)
}

func (e everywhere) inside(ctx context.Context, task string) (host.Inside, error) {
	other, err := e.elsewhere(ctx, task)
	if err != nil || other == nil {
		return &e.node.hosts, err
	}
	return other, nil
}

// Exec implements host.Inside.
func (e everywhere) Exec(ctx context.Context, task string, c host.Command) (int, error) {
	h, err := e.inside(ctx, task)
	if err != nil {
		return 0, err
	}
	return h.Exec(ctx, task, c)
}

// DialTask implements host.Inside.
func (e everywhere) DialTask(ctx context.Context, task string, port int) (net.Conn, error) {
	h, err := e.inside(ctx, task)
	if err != nil {
		return nil, err
	}
	return h.DialTask(ctx, task, port)
}

// ReadFiles implements host.Inside.
func (e everywhere) ReadFiles(ctx context.Context, task, path string, to io.Writer) error {
	h, err := e.inside(ctx, task)
	if err != nil {
		return err
	}
	return h.ReadFiles(ctx, task, path, to)
}

// WriteFiles implements host.Inside.
func (e everywhere) WriteFiles(ctx context.Context, task, path, name string, from io.Reader) error {
	h, err := e.inside(ctx, task)
	if err != nil {
		return err
	}
	return h.WriteFiles(ctx, task, path, name, from)
}
