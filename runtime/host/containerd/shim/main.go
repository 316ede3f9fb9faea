// Command shim is the process beside each task: containerd's runc shim with our own handling of the task's output.
// It is built small (grpcnotrace, no daemon) because one runs per task.
package main

import (
	"context"
	"runtime"

	"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2/manager"
	"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2/task"
	"github.com/containerd/containerd/v2/pkg/shim"
	"github.com/containerd/containerd/v2/pkg/shutdown"
	"github.com/containerd/containerd/v2/plugins"
	"github.com/containerd/log"
	"github.com/containerd/plugin"
	"github.com/containerd/plugin/registry"
)

func main() {
	// In code, because the process that starts us sets GOMAXPROCS=4 in our environment. One saves 0.6 MB a task.
	runtime.GOMAXPROCS(1)
	// containerd copies what a shim logs to the node's own standard error, between the lines of the node's log. What matters
	// to the node it learns from answers.
	_ = log.SetLevel("fatal")
	registry.Register(&plugin.Registration{
		Type:     plugins.TTRPCPlugin,
		ID:       "task",
		Requires: []plugin.Type{plugins.EventPlugin, plugins.InternalPlugin},
		InitFn:   taskService,
	})
	shim.RunShim(context.Background(), manager.NewShimManager("io.containerd.runc.v2"))
}

func taskService(ic *plugin.InitContext) (any, error) {
	pub, err := ic.GetByID(plugins.EventPlugin, "publisher")
	if err != nil {
		return nil, err
	}
	down, err := ic.GetByID(plugins.InternalPlugin, "shutdown")
	if err != nil {
		return nil, err
	}
	out := &output{}
	inner, err := task.NewTaskService(ic.Context, &publisher{pub.(shim.Publisher), out}, down.(shutdown.Service))
	if err != nil {
		return nil, err
	}
	out.intercept() // after NewTaskService, which sets the monitor that we wrap
	return &service{inner, out}, nil
}
