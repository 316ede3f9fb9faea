package hosts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// namespaceID is what /proc/PID/ns/net reads for a process in the namespace mounted at path.
func namespaceID(path string) (string, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil || s.Type != unix.NSFS_MAGIC {
		return "", errors.Join(err, fmt.Errorf("%s is no namespace", path))
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return "", err
	}
	return fmt.Sprintf("net:[%d]", st.Ino), nil
}

// mountsBelow lists mount points at and below dir, the deepest first.
func mountsBelow(dir string) ([]string, error) {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var points []string
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 4 && (f[4] == dir || strings.HasPrefix(f[4], dir+"/")) {
			points = append(points, f[4])
		}
	}
	slices.Sort(points)
	slices.Reverse(points)
	return points, nil
}

// unmountBelow detaches all mounts at and below dir. Mounts on top of each other need several rounds.
func unmountBelow(dir string) error {
	for range 10 {
		points, err := mountsBelow(dir)
		if err != nil || len(points) == 0 {
			return err
		}
		for _, p := range points {
			if err := unix.Unmount(p, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
				return fmt.Errorf("unmount %s: %w", p, err)
			}
		}
	}
	return fmt.Errorf("unmount below %s: mounts come again", dir)
}

func cgroupName(instance string) string { return "warren-" + instance }

// cgroupsOf lists the cgroups of a node, in the hierarchies of version 1 and in the unified one, the deepest first.
func cgroupsOf(instance string) ([]string, error) {
	tops, err := filepath.Glob("/sys/fs/cgroup/*/" + cgroupName(instance))
	if err != nil {
		return nil, err
	}
	tops = append(tops, "/sys/fs/cgroup/"+cgroupName(instance))
	var dirs []string
	for _, top := range tops {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(dirs)
	slices.Reverse(dirs)
	return slices.Compact(dirs), nil
}

// removeCgroups tries again for a while: a cgroup is busy until the kernel is done with the last process that was in it.
func removeCgroups(instance string) error {
	for deadline := time.Now().Add(killPatience); ; time.Sleep(5 * time.Millisecond) {
		dirs, err := cgroupsOf(instance)
		if err != nil || len(dirs) == 0 {
			return err
		}
		var last error
		for _, dir := range dirs {
			if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
				last = fmt.Errorf("remove cgroup %s: %w", dir, err)
			}
		}
		if last != nil && time.Now().After(deadline) {
			return last
		}
	}
}
