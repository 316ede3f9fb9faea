package containerd

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cgroupMounts are the places where control groups can be seen: one with v2, several with v1.
func cgroupMounts() ([]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var at []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		front, back, ok := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(front)
		if ok && len(fields) > 4 && strings.HasPrefix(back, "cgroup") {
			at = append(at, fields[4])
		}
	}
	slices.Sort(at)
	return slices.Compact(at), nil
}

// cgroupDirs returns the folders of path, e.g. /warren-1234/web-1-1, in all hierarchies.
func cgroupDirs(path string) ([]string, error) {
	mounts, err := cgroupMounts()
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, m := range mounts {
		dir := filepath.Join(m, path)
		if _, err := os.Stat(dir); err == nil {
			dirs = append(dirs, dir)
		}
	}
	return dirs, nil
}

// cgroupChildren returns the names below path in any hierarchy.
func cgroupChildren(path string) ([]string, error) {
	dirs, err := cgroupDirs(path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range dirs {
		entries, _ := os.ReadDir(d)
		for _, e := range entries {
			if e.IsDir() {
				names = append(names, e.Name())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// killCgroup ends every process in path and below, and returns when none is left.
func killCgroup(path string) error {
	for range 100 {
		pids, err := cgroupPids(path)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(20 * time.Millisecond) // there is nothing to wait on for processes that are not our children
	}
	return fmt.Errorf("kill processes of %s: some are still there", path)
}

func cgroupPids(path string) ([]int, error) {
	dirs, err := cgroupDirs(path)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, d := range dirs {
		_ = filepath.WalkDir(d, func(p string, e fs.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				pids = append(pids, readPids(filepath.Join(p, "cgroup.procs"))...)
			}
			return nil
		})
	}
	slices.Sort(pids)
	return slices.Compact(pids), nil
}

func readPids(file string) []int {
	data, _ := os.ReadFile(file)
	var pids []int
	for _, f := range strings.Fields(string(data)) {
		if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// removeCgroup deletes path and what is below it, after its processes have ended.
func removeCgroup(path string) error {
	dirs, err := cgroupDirs(path)
	if err != nil {
		return err
	}
	var all []string
	for _, d := range dirs {
		_ = filepath.WalkDir(d, func(p string, e fs.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				all = append(all, p)
			}
			return nil
		})
	}
	var errs []error
	for _, d := range slices.Backward(all) {
		if err := syscall.Rmdir(d); err != nil && !errors.Is(err, syscall.ENOENT) {
			errs = append(errs, fmt.Errorf("remove %s: %w", d, err))
		}
	}
	return errors.Join(errs...)
}

// oomKilled tells whether the kernel ended a process of path because memory ran out. It counts since the group was made,
// so it can be read after the fact and after a restart of ours, unlike an event.
func oomKilled(path string) bool {
	dirs, _ := cgroupDirs(path)
	for _, d := range dirs {
		for _, file := range []string{"memory.oom_control", "memory.events"} {
			data, _ := os.ReadFile(filepath.Join(d, file))
			for line := range strings.Lines(string(data)) {
				n, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill ")
				if ok && n != "0" {
					return true
				}
			}
		}
	}
	return false
}
