package containerd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/shim"
	"github.com/containerd/errdefs"
)

// sweep removes what no task owns: left by a kill at the wrong moment, by a power cut, by a failed removal.
func (h *Host) sweep() {
	h.mu.Lock()
	early := !h.ready || !h.known // before the first wish nothing is an orphan
	h.mu.Unlock()
	if early || h.ctx.Err() != nil {
		return
	}
	defer h.gc.nudge() // from the first wish on it is known what tasks need
	h.sweeping.Lock()
	defer h.sweeping.Unlock()
	ctx, cancel := h.finishing()
	defer cancel()
	var removed []string
	var errs []error
	for _, kind := range h.orphanKinds() {
		names, err := kind.list(ctx)
		errs = append(errs, err)
		for _, name := range names {
			if h.owned(kind.owner(name)) {
				continue
			}
			if err := kind.remove(ctx, name); err != nil {
				errs = append(errs, err)
				continue
			}
			removed = append(removed, kind.name+" "+name)
		}
	}
	h.collected.Do(func() { errs = append(errs, h.collectFolders(ctx)) })
	if len(removed) > 0 {
		h.log.Info("removed what no task owned", "count", len(removed), "what", removed)
	}
	if err := errors.Join(errs...); err != nil {
		h.log.Error(err, "not everything that no task owns could be removed")
	}
}

func (h *Host) owned(task string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.units[task] != nil || h.foreign[task]
}

// orphanKind is one sort of thing that a task has on the machine.
type orphanKind struct {
	name   string
	list   func(context.Context) ([]string, error)
	owner  func(name string) (task string)
	remove func(ctx context.Context, name string) error
}

func itself(name string) string { return name }

// nobody owns what the list has left over after a look at what is used.
func nobody(string) string { return "" }

// bundleOwner: containerd puts a dot before the name of a bundle while it removes it.
func bundleOwner(name string) string { return strings.TrimPrefix(name, ".") }

// orphanKinds are in the order of removal: processes first.
func (h *Host) orphanKinds() []orphanKind {
	return []orphanKind{
		{"shim", h.listShims, itself, func(_ context.Context, n string) error { return h.force(n) }},
		{"cgroup", h.listCgroups, itself, func(_ context.Context, n string) error { return h.removeCgroupOf(n) }},
		{"bundle", h.listBundles, bundleOwner, func(_ context.Context, n string) error { return h.removeBundle(n) }},
		{"socket", h.listSockets, nobody, removeIn(h.paths.shimSockets)},
		{"root file system", h.listSnapshots, nobody, h.removeSnapshot},
		{"network", h.cfg.Network.List, itself, h.cfg.Network.Detach},
		{"files", listDir(h.paths.tasks), itself, removeIn(h.paths.tasks)},
		{"log", listDir(h.paths.logs), itself, removeIn(h.paths.logs)},
		{"programs", h.oldPrograms, nobody, removeIn(h.paths.bin)},
	}
}

func (h *Host) listShims(context.Context) ([]string, error) {
	var ids []string
	for _, p := range h.shims() {
		ids = append(ids, p.argument("-id"))
	}
	return ids, nil
}

func (h *Host) listCgroups(context.Context) ([]string, error) {
	return cgroupChildren("/warren-" + h.cfg.Instance)
}

func (h *Host) removeCgroupOf(name string) error {
	path := cgroupPath(h.cfg.Instance, name)
	return errors.Join(killCgroup(path), removeCgroup(path))
}

func (h *Host) listBundles(ctx context.Context) ([]string, error) {
	var names []string
	for _, d := range append(h.paths.bundles(h.namespace, ""), h.paths.runcState(h.namespace, "")) {
		found, err := listDir(d)(ctx)
		if err != nil {
			return nil, err
		}
		names = append(names, found...)
	}
	return names, nil
}

// listSockets finds sockets of shims that no task here has. A socket is called after its task: that of the next attempt comes
// to the same place, so what a shim that was killed left of a task that stays is not this one's business.
func (h *Host) listSockets(ctx context.Context) ([]string, error) {
	names, err := listDir(h.paths.shimSockets)(ctx)
	if err != nil || h.daemon == nil {
		return nil, err
	}
	owned := map[string]bool{}
	h.mu.Lock()
	for name := range h.units {
		owned[filepath.Base(h.shimSocket(name))] = true
	}
	for name := range h.foreign {
		owned[filepath.Base(h.shimSocket(name))] = true
	}
	h.mu.Unlock()
	return slices.DeleteFunc(names, func(n string) bool { return owned[n] }), nil
}

// shimSocket is where the shim of a task listens. A shim that is killed cannot remove it.
func (h *Host) shimSocket(task string) string {
	address, err := shim.CreateSocketAddress(h.scoped(context.Background()), h.paths.shimSockets, h.socket(), task, false)
	if err != nil {
		return "" // only without a namespace in the context
	}
	return strings.TrimPrefix(address, "unix://")
}

// listSnapshots finds root file systems that no container refers to.
func (h *Host) listSnapshots(ctx context.Context) ([]string, error) {
	used := map[string]bool{}
	all, err := h.client.ContainerService().List(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		used[c.SnapshotKey] = true
	}
	var names []string
	err = h.client.SnapshotService(snapshotter).Walk(ctx, func(_ context.Context, s snapshots.Info) error {
		if strings.HasPrefix(s.Name, snapshotPrefix) && !used[s.Name] {
			names = append(names, s.Name)
		}
		return nil
	})
	if errdefs.IsNotFound(err) {
		err = nil
	}
	return names, err
}

func (h *Host) removeSnapshot(ctx context.Context, name string) error {
	err := h.client.SnapshotService(snapshotter).Remove(ctx, name)
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// oldPrograms are the folders of other versions of shim and runc from which nothing runs.
func (h *Host) oldPrograms(ctx context.Context) ([]string, error) {
	names, err := listDir(h.paths.bin)(ctx)
	used := map[string]bool{filepath.Base(h.programs.dir): true}
	for _, p := range processes() {
		if rest, ok := strings.CutPrefix(p.exe, h.paths.bin+"/"); ok {
			used[strings.Split(rest, "/")[0]] = true
		}
	}
	var old []string
	for _, n := range names {
		if !used[n] {
			old = append(old, n)
		}
	}
	return old, err
}

func listDir(dir string) func(context.Context) ([]string, error) {
	return func(context.Context) ([]string, error) {
		entries, err := os.ReadDir(dir)
		if os.IsNotExist(err) || errors.Is(err, syscall.ENOTDIR) {
			return nil, nil
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names, err
	}
}

func removeIn(dir string) func(context.Context, string) error {
	return func(_ context.Context, name string) error { return os.RemoveAll(filepath.Join(dir, name)) }
}
