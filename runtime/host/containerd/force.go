package containerd

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs"
)

// force removes a task when containerd cannot: it ends the shim and every process of the task, and removes what both left.
func (h *Host) force(name string) error {
	for _, p := range h.shims() {
		if p.argument("-id") == name {
			_ = syscall.Kill(p.pid, syscall.SIGKILL)
		}
	}
	if err := killCgroup(cgroupPath(h.cfg.Instance, name)); err != nil {
		return err
	}
	h.awaitForgotten(name)
	return h.removeBundle(name)
}

// shims are the shim processes of this host.
func (h *Host) shims() []process {
	var mine []process
	for _, p := range processes() {
		if p.argument("-namespace") == h.namespace && p.argument("-address") == h.socket() && p.argument("-id") != "" {
			mine = append(mine, p)
		}
	}
	return mine
}

func (h *Host) socket() string {
	if h.cfg.Socket != "" {
		return h.cfg.Socket
	}
	return h.paths.socket
}

// awaitForgotten gives containerd, which also sees a shim end and cleans up after it, time to be done with that.
func (h *Host) awaitForgotten(name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.ctx), 5*time.Second)
	defer cancel()
	for wait := 10 * time.Millisecond; ctx.Err() == nil; wait *= 2 {
		if _, err := h.process(name); errdefs.IsNotFound(err) {
			return
		}
		_, _ = h.client.TaskService().Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: name})
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// removeBundle removes containerd's and runc's files of a task that does not run.
func (h *Host) removeBundle(name string) error {
	var errs []error
	if h.cfg.Socket == "" {
		for _, dir := range h.paths.bundles(h.namespace, name) {
			if err := mount.UnmountRecursive(dir+"/rootfs", syscall.MNT_DETACH); err != nil && !os.IsNotExist(err) {
				errs = append(errs, err)
			}
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	errs = append(errs, os.RemoveAll(h.paths.runcState(h.namespace, name)))
	return errors.Join(errs...)
}
