package hosts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// blkio is where version 1 of cgroups limits how often processes may write to a disk.
const blkio = "/sys/fs/cgroup/blkio"

// SlowDisk bounds how many times a second the processes of these kinds may write to the disk of the data directory: a write
// that has to be on the disk waits for its turn, as on a worn flash card. What they start later is bound, too. No bound that
// stops them for long: others share the file system and may wait for its journal. Heal does not undo it; FastDisk does.
func (h *Host) SlowDisk(writes int, kinds ...Kind) error {
	disk, err := diskOf(h.DataDir)
	if err != nil {
		return fmt.Errorf("slow disk of %s: %w", h.Name, err)
	}
	dir := h.slowDir()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	limit := filepath.Join(dir, "blkio.throttle.write_iops_device")
	if err := os.WriteFile(limit, fmt.Appendf(nil, "%s %d", disk, writes), 0); err != nil {
		return fmt.Errorf("slow disk of %s: %w", h.Name, err)
	}
	return h.moveTo(dir, kinds)
}

// FastDisk undoes SlowDisk.
func (h *Host) FastDisk(kinds ...Kind) error {
	if err := h.moveTo(blkio, kinds); err != nil {
		return err
	}
	return h.removeSlow()
}

func (h *Host) slowDir() string { return filepath.Join(blkio, "slow-"+h.Instance) }

// moveTo puts processes into a cgroup.
func (h *Host) moveTo(dir string, kinds []Kind) error {
	all, err := h.Processes()
	if err != nil {
		return err
	}
	for _, p := range all {
		for _, k := range kinds {
			if p.Kind != k {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(p.PID)), 0); err != nil {
				return fmt.Errorf("move %d of %s to %s: %w", p.PID, h.Name, dir, err)
			}
		}
	}
	return nil
}

// removeSlow removes the cgroup once nobody is in it; the dead leave it a moment late.
func (h *Host) removeSlow() error {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := os.Remove(h.slowDir())
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// diskOf is the number of the whole disk that a directory lies on.
func diskOf(dir string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return "", err
	}
	number := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	path, err := filepath.EvalSymlinks("/sys/dev/block/" + number)
	if err != nil {
		return "", fmt.Errorf("%s lies on no disk: %w", dir, err)
	}
	if _, err := os.Stat(filepath.Join(path, "partition")); err == nil {
		path = filepath.Dir(path)
	}
	whole, err := os.ReadFile(filepath.Join(path, "dev"))
	return strings.TrimSpace(string(whole)), err
}
