package hosts

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"warren.io/warren/runtime/host/network/netns"
)

// Orphans lists what is on the machine for this host and belongs to none of the tasks: links, namespaces, mounts, cgroups,
// directories of tasks, and processes of shims, runc and tasks. An empty list is what every settled node must have.
// The node itself and what a test started in the host are no orphans; containerd's own records are not looked at.
func (h *Host) Orphans(t testing.TB, tasks ...string) []string {
	t.Helper()
	found, err := h.Left(tasks...)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Left is Orphans for those who look again and again: what cannot be looked at now may be gone with the next look.
func (h *Host) Left(tasks ...string) ([]string, error) {
	var all []string
	for _, look := range []func([]string) ([]string, error){h.orphanLinks, h.orphanFiles, h.orphanMounts, h.orphanCgroups, h.orphanProcesses} {
		found, err := look(tasks)
		if err != nil {
			return all, fmt.Errorf("look for orphans on %s: %w", h.Name, err)
		}
		all = append(all, found...)
	}
	return all, nil
}

func (h *Host) orphanLinks(tasks []string) (found []string, err error) {
	ns, err := netns.Enter(h.NetNS)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	links, err := ns.LinkList()
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		task := l.Attrs().Alias[strings.LastIndexByte(l.Attrs().Alias, '/')+1:]
		if strings.HasPrefix(l.Attrs().Name, "wv") && !slices.Contains(tasks, task) {
			found = append(found, fmt.Sprintf("link %s of task %q", l.Attrs().Name, task))
		}
	}
	return found, nil
}

// taskFiles are the places below the run directory that have an entry for each task.
var taskFiles = []string{"netns/*", "tasks/*", "runc/*/*", "containerd/io.containerd.runtime.v2.task/*/*", "containerd/state/io.containerd.runtime.v2.task/*/*"}

func (h *Host) orphanFiles(tasks []string) (found []string, err error) {
	for _, pattern := range taskFiles {
		paths, err := filepath.Glob(filepath.Join(h.RunDir, pattern))
		if err != nil {
			return nil, err
		}
		for _, p := range paths {
			if text := "file " + p; !slices.Contains(tasks, filepath.Base(p)) && !slices.Contains(found, text) {
				found = append(found, text)
			}
		}
	}
	return found, nil
}

func (h *Host) orphanMounts(tasks []string) (found []string, err error) {
	for _, dir := range []string{h.DataDir, h.RunDir} {
		points, err := mountsBelow(dir)
		if err != nil {
			return nil, err
		}
		for _, p := range points {
			if !ofTask(strings.TrimPrefix(p, dir), tasks) {
				found = append(found, "mount "+p)
			}
		}
	}
	return found, nil
}

func (h *Host) orphanCgroups(tasks []string) (found []string, err error) {
	dirs, err := cgroupsOf(h.Instance)
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		if filepath.Base(dir) != cgroupName(h.Instance) && !ofTask(dir, tasks) {
			found = append(found, "cgroup "+dir)
		}
	}
	return found, nil
}

func (h *Host) orphanProcesses(tasks []string) (found []string, err error) {
	processes, err := h.Processes()
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, p := range processes {
		task := p.Kind == Shim || p.Kind == Runc || p.Kind == Task
		twice := p.Kind == Shim && seen[p.Task]
		if task && (!slices.Contains(tasks, p.Task) || twice) {
			found = append(found, fmt.Sprintf("%s %d of task %q: %s", p.Kind, p.PID, p.Task, strings.Join(p.Args, " ")))
		}
		seen[p.Task] = seen[p.Task] || p.Kind == Shim
	}
	return found, nil
}

// ofTask says whether a task's name is one of the parts of the path.
func ofTask(path string, tasks []string) bool {
	return slices.ContainsFunc(strings.Split(path, "/"), func(part string) bool { return slices.Contains(tasks, part) })
}
