//go:build e2e

package kill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/snapshots"

	"warren.io/warren/e2e/hosts"
)

// checkMachine demands that there is exactly what the tasks need: nothing is missing, nothing is left over.
func (s *sight) checkMachine(ctx context.Context, n *node) {
	names := make([]string, len(s.objects))
	pids := map[int]string{}
	for i, t := range s.objects {
		names[i] = t.Metadata.Name
		pids[t.Status.PID] = t.Metadata.Name
	}
	if len(pids) != len(names) {
		s.complain("two tasks claim one process: %v", pids)
	}
	orphans, err := n.host.Left(names...)
	if err != nil {
		s.complain("%v", err)
	}
	s.problems = append(s.problems, orphans...)
	s.checkProcesses(n, names, pids)
	s.checkFolders(n, names)
	s.checkMounts(n)
	if err := s.checkContainerd(ctx, n, pids); err != nil {
		s.complain("look at containerd: %v", err)
	}
}

// checkProcesses demands one shim for each task, and the process that its status names.
func (s *sight) checkProcesses(n *node, names []string, pids map[int]string) {
	all, err := n.host.Processes()
	if err != nil {
		s.complain("%v", err)
		return
	}
	shims, running := map[string]int{}, map[string]bool{}
	for _, p := range all {
		switch p.Kind {
		case hosts.Shim:
			shims[p.Task]++
		case hosts.Task:
			running[p.Task] = running[p.Task] || pids[p.PID] == p.Task
		case hosts.Other:
			s.complain("process %d is of nobody: %q", p.PID, p.Args)
		}
	}
	for _, name := range names {
		if shims[name] != 1 || !running[name] {
			s.complain("task %s has %d shims; its process runs: %t", name, shims[name], running[name])
		}
	}
}

// checkFolders looks where each task has one folder.
func (s *sight) checkFolders(n *node, names []string) {
	want := slices.Sorted(slices.Values(names))
	for _, dir := range []string{
		filepath.Join(n.host.DataDir, "logs"), filepath.Join(n.host.RunDir, "tasks"), filepath.Join(n.host.RunDir, "netns"),
		filepath.Join(n.host.RunDir, "containerd", "io.containerd.runtime.v2.task", namespace),
	} {
		if got := entries(dir); !slices.Equal(got, want) {
			s.complain("folder %s has %v, should have %v", dir, got, want)
		}
	}
	if got := entries(filepath.Join(n.host.RunDir, "s")); len(got) != len(want) {
		s.complain("there are %d sockets of shims for %d tasks", len(got), len(want))
	}
}

func entries(dir string) (names []string) {
	all, _ := os.ReadDir(dir)
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}

// checkMounts finds what was mounted twice in one place.
func (s *sight) checkMounts(n *node) {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		s.complain("%v", err)
	}
	at := map[string]int{}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], n.host.RunDir+"/") {
			at[f[4]]++
		}
	}
	for point, times := range at {
		if times > 1 {
			s.complain("%s is mounted %d times", point, times)
		}
	}
}

const (
	namespace   = "warren" // of containerd
	snapshotter = "overlayfs"
)

// checkContainerd demands one container, task and root file system for each task, and nothing that protects leftovers.
func (s *sight) checkContainerd(ctx context.Context, n *node, pids map[int]string) error {
	c, err := client.New(filepath.Join(n.host.RunDir, "containerd", "containerd.sock"), client.WithDefaultNamespace(namespace))
	if err != nil {
		return err
	}
	defer c.Close()
	containers, err := c.Containers(ctx)
	if err != nil {
		return err
	}
	roots := map[string]bool{}
	for _, container := range containers {
		root, err := s.checkContainer(ctx, container, pids)
		if err != nil {
			return err
		}
		roots[root] = true
	}
	if len(containers) != len(pids) {
		s.complain("there are %d containers for %d tasks", len(containers), len(pids))
	}
	kept, err := c.LeasesService().List(ctx)
	if len(kept) > 0 {
		s.complain("there are leases: %v", kept)
	}
	if err != nil {
		return err
	}
	return errors.Join(s.checkSnapshots(ctx, n, c, roots), s.checkContent(ctx, n, c))
}

// checkContent compares containerd's records of what images are made of with the files on the disk.
func (s *sight) checkContent(ctx context.Context, n *node, c *client.Client) error {
	records := 0
	err := c.ContentStore().Walk(ctx, func(content.Info) error { records++; return nil })
	dir := filepath.Join(n.host.DataDir, "containerd", "io.containerd.content.v1.content")
	files, pending := entries(filepath.Join(dir, "blobs", "sha256")), entries(filepath.Join(dir, "ingest"))
	if len(files) != records || len(pending) > 0 {
		s.complain("%s has %d files for %d records, and half-written %v", dir, len(files), records, pending)
		err = errors.Join(err, collect(ctx, c))
	}
	return err
}

func (s *sight) checkContainer(ctx context.Context, c client.Container, pids map[int]string) (root string, err error) {
	info, err := c.Info(ctx)
	if err != nil {
		return "", err
	}
	task, err := c.Task(ctx, nil)
	if err != nil {
		return "", fmt.Errorf("task of container %s: %w", c.ID(), err)
	}
	status, err := task.Status(ctx)
	if err != nil {
		return "", fmt.Errorf("task of container %s: %w", c.ID(), err)
	}
	if pids[int(task.Pid())] != c.ID() || status.Status != client.Running {
		s.complain("container %s is %s as process %d, which should be of task %q", c.ID(), status.Status, task.Pid(), pids[int(task.Pid())])
	}
	return info.SnapshotKey, nil
}

// checkSnapshots compares root file systems with containers, and containerd's records with the folders on the disk.
func (s *sight) checkSnapshots(ctx context.Context, n *node, c *client.Client, roots map[string]bool) error {
	records := 0
	err := c.SnapshotService(snapshotter).Walk(ctx, func(_ context.Context, info snapshots.Info) error {
		records++
		if info.Kind == snapshots.KindActive && !roots[info.Name] {
			s.complain("root file system %s is of nobody", info.Name)
		}
		delete(roots, info.Name)
		return nil
	})
	for root := range roots {
		s.complain("root file system %s is missing", root)
	}
	dir := filepath.Join(n.host.DataDir, "containerd", "io.containerd.snapshotter.v1."+snapshotter, "snapshots")
	if got := entries(dir); len(got) != records {
		s.complain("%s has %v for %d snapshots", dir, got, records)
		err = errors.Join(err, collect(ctx, c))
	}
	return err
}

// collect makes containerd look for garbage now, which it would do some seconds later by itself. What it does not find then
// it never would.
func collect(ctx context.Context, c *client.Client) error {
	lease, err := c.LeasesService().Create(ctx, leases.WithRandomID())
	if err != nil {
		return err
	}
	return c.LeasesService().Delete(ctx, lease, leases.SynchronousDelete)
}
