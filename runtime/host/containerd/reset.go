package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/mount"
)

// Reset removes every trace of this node's containers: tasks (at once, without a grace period), images, root file systems,
// logs, programs, cgroups and folders. The host is closed after it.
func (h *Host) Reset(ctx context.Context) error {
	h.hurried.Do(func() { close(h.hurry) })
	if err := h.StopAll(ctx); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	h.sweep()
	errs := []error{h.removeImages(ctx)}
	if h.cfg.Socket != "" {
		errs = append(errs, h.client.NamespaceService().Delete(h.scoped(ctx), h.namespace))
	}
	errs = append(errs, h.Close(), removeCgroup("/warren-"+h.cfg.Instance))
	dirs := []string{h.paths.containerdState, h.paths.containerdRoot, h.paths.bin, h.paths.logs, h.paths.tasks, h.paths.commands, h.paths.runc,
		h.paths.shimSockets}
	if h.paths.shortRun != "" {
		dirs = append(dirs, h.paths.shortRun)
	}
	for _, d := range dirs {
		if err := mount.UnmountRecursive(d, syscall.MNT_DETACH); err != nil && !os.IsNotExist(err) {
			errs = append(errs, err)
		}
		errs = append(errs, os.RemoveAll(d))
	}
	return wrap("reset", errors.Join(errs...))
}

// removeImages matters where containerd is not ours to delete.
func (h *Host) removeImages(ctx context.Context) error {
	if h.cfg.Socket == "" {
		return nil
	}
	ctx = h.scoped(ctx)
	h.images.work.Wait() // for pulls, which nobody wants any more
	if err := h.images.dropParts(ctx, func(string) bool { return false }); err != nil {
		return err
	}
	all, err := h.client.ImageService().List(ctx)
	if err != nil {
		return err
	}
	for _, img := range all {
		if err := h.client.ImageService().Delete(ctx, img.Name, images.SynchronousDelete()); err != nil {
			return err
		}
	}
	return nil
}
