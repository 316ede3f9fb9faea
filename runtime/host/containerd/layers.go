package containerd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/continuity/fs"
	"github.com/containerd/errdefs"

	"warren.io/warren/runtime/host"
)

// checkLayers finds unpacked layers that have lost files or parts of them since containerd noted how large they are, and
// removes those that no task stands on: they are unpacked again when they are needed.
func (h *Host) checkLayers(ctx context.Context) error {
	layers := h.client.SnapshotService(snapshotter)
	var broken []string
	children := map[string][]string{}
	err := layers.Walk(ctx, func(ctx context.Context, s snapshots.Info) error {
		if s.Name == lookView {
			return nil
		}
		children[s.Parent] = append(children[s.Parent], s.Name)
		if s.Kind != snapshots.KindCommitted {
			return nil
		}
		if whole, err := h.isWhole(ctx, s.Name); err != nil || whole {
			return err
		}
		broken = append(broken, s.Name)
		return nil
	})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("look through unpacked layers: %w", err)
	}
	for _, name := range broken {
		if err := h.dropLayer(ctx, name, children); err != nil {
			return err
		}
	}
	return nil
}

// isWhole compares a layer with what it was when it was unpacked.
func (h *Host) isWhole(ctx context.Context, name string) (bool, error) {
	layers := h.client.SnapshotService(snapshotter)
	was, err := layers.Usage(ctx, name)
	if errdefs.IsNotFound(err) {
		return true, nil // it is gone
	}
	if err != nil {
		return false, err
	}
	dir, err := h.layerDir(ctx, name)
	if err != nil || dir == "" {
		return true, err
	}
	is, err := fs.DiskUsage(ctx, dir)
	if err != nil {
		return false, fmt.Errorf("look through layer %s: %w", name, err)
	}
	return is.Inodes >= was.Inodes && is.Size >= was.Size, nil
}

// lookView is the snapshot through which layers are looked at, one after the other. The sweep removes one that a kill left.
const lookView = snapshotPrefix + "look"

// layerDir finds the folder of a layer's files, which containerd names only to those who mount it.
func (h *Host) layerDir(ctx context.Context, name string) (string, error) {
	layers := h.client.SnapshotService(snapshotter)
	if err := layers.Remove(ctx, lookView); err != nil && !errdefs.IsNotFound(err) {
		return "", err
	}
	// Without the label containerd may collect it meanwhile, and then believes for ever that the layer has one upon it.
	mounts, err := layers.View(ctx, lookView, name, withRoot)
	if errdefs.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = layers.Remove(context.WithoutCancel(ctx), lookView) }()
	return topOf(mounts), nil
}

// topOf finds the uppermost folder of what would be mounted.
func topOf(mounts []mount.Mount) string {
	if len(mounts) != 1 {
		return ""
	}
	for _, o := range mounts[0].Options {
		if dirs, ok := strings.CutPrefix(o, "lowerdir="); ok {
			top, _, _ := strings.Cut(dirs, ":")
			return top
		}
	}
	if mounts[0].Type == "bind" {
		return mounts[0].Source
	}
	return ""
}

// dropLayer removes a damaged layer with those upon it, unless a task stands on one of them.
func (h *Host) dropLayer(ctx context.Context, name string, children map[string][]string) error {
	all := []string{name}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	if i := slices.IndexFunc(all, func(n string) bool { return strings.HasPrefix(n, snapshotPrefix) }); i >= 0 {
		text := fmt.Sprintf("an unpacked layer has lost files, and %s runs on it; stop the tasks of that image, then: warrenctl image rm and import or pull it again",
			strings.TrimPrefix(all[i], snapshotPrefix))
		h.log.Info("an unpacked layer is damaged and in use", "layer", name, "by", all[i])
		h.remark(host.Remark{Warning: true, Reason: host.ReasonImageDamaged, Message: text})
		return nil
	}
	h.log.Info("an unpacked layer is damaged and is removed", "layer", name)
	for _, n := range slices.Backward(all) {
		if err := h.client.SnapshotService(snapshotter).Remove(ctx, n); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("remove damaged layer %s: %w", n, err)
		}
	}
	return nil
}
