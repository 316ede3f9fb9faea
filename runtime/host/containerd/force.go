package containerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
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

// shims are the shim processes of this host, without those that run for a moment to start or clean up one.
func (h *Host) shims() []process {
	return slices.DeleteFunc(h.shimProcesses(), process.isBrief)
}

// endStrays ends the brief ones that a killed process of ours left: they would start a shim that nobody knows.
func (h *Host) endStrays() {
	if h.daemon == nil {
		return // they are children of that containerd
	}
	for _, p := range h.shimProcesses() {
		if p.isBrief() && p.parent() != os.Getpid() {
			_ = syscall.Kill(p.pid, syscall.SIGKILL)
		}
	}
}

func (p process) isBrief() bool {
	action := p.args[len(p.args)-1]
	return action == "start" || action == "delete"
}

func (h *Host) shimProcesses() []process {
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

// awaitForgotten waits until containerd, which also sees a shim end, has cleaned up after it. It must not still be at that
// when the next attempt is made under the same name. As long as it is, a call to the shim fails otherwise than with "not found".
func (h *Host) awaitForgotten(name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.ctx), 10*time.Second)
	defer cancel()
	service := h.client.TaskService()
	var err error
	for wait := 5 * time.Millisecond; ctx.Err() == nil; wait *= 2 {
		_, err = service.Kill(ctx, &tasks.KillRequest{ContainerID: name, Signal: 0})
		if errdefs.IsNotFound(errgrpc.ToNative(err)) {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	h.log.Info("containerd did not clean up after a shim in time", "task", name, "answer", fmt.Sprint(err))
	ctx, cancel = h.finishing()
	defer cancel()
	_, _ = service.Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: name})
}

// removeBundle removes containerd's and runc's files of a task that does not run, and the socket of its shim.
func (h *Host) removeBundle(name string) error {
	errs := []error{os.RemoveAll(h.paths.runcState(h.namespace, name))}
	if h.cfg.Socket == "" {
		for _, dir := range h.paths.bundles(h.namespace, name) {
			errs = append(errs, removeMounted(dir))
		}
		if err := os.Remove(h.shimSocket(name)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// removeMounted removes a bundle with the root file system that may still be mounted in it.
func removeMounted(dir string) error {
	if _, err := os.Lstat(dir); os.IsNotExist(err) {
		return nil
	}
	if err := mount.UnmountRecursive(filepath.Join(dir, "rootfs"), syscall.MNT_DETACH); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.RemoveAll(dir)
}

// finishRemovals removes the bundles that containerd was removing when it was killed: it puts a dot before their names
// first, and could not do so again. This has to happen before it starts.
func (p paths) finishRemovals(namespace string) error {
	var errs []error
	for _, pattern := range p.bundles(namespace, ".*") {
		half, _ := filepath.Glob(pattern)
		for _, dir := range half {
			errs = append(errs, removeMounted(dir))
		}
	}
	return errors.Join(errs...)
}
