package containerd

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// process is one process of this machine, as far as we may see it.
type process struct {
	pid  int
	exe  string
	args []string
}

// processes lists what runs now. Entries vanish while it looks; those are left out.
func processes() []process {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var all []process
	for _, d := range dirs {
		exe, err := os.Readlink(d + "/exe")
		if err != nil {
			continue // a kernel thread, or gone
		}
		pid, err := strconv.Atoi(filepath.Base(d))
		if err != nil {
			continue
		}
		line, _ := os.ReadFile(d + "/cmdline")
		args := strings.Split(string(bytes.TrimSuffix(line, []byte{0})), "\x00")
		all = append(all, process{pid, strings.TrimSuffix(exe, " (deleted)"), args})
	}
	return all
}

// argument returns what follows flag on the command line.
func (p process) argument(flag string) string {
	for i, a := range p.args[:len(p.args)-1] {
		if a == flag {
			return p.args[i+1]
		}
	}
	return ""
}

// parent returns the process that p belongs to, 0 if p is gone.
func (p process) parent() int {
	fields := statFields(p.pid)
	if len(fields) < 2 {
		return 0
	}
	ppid, _ := strconv.Atoi(fields[1])
	return ppid
}

// statFields are the fields of /proc/PID/stat from the third on: the second is the name and may contain anything.
func statFields(pid int) []string {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil
	}
	return strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
}

// startedAt is when pid was started, from the kernel's own record, so that it need not be stored.
func startedAt(pid int) (time.Time, bool) {
	fields := statFields(pid)
	if len(fields) < 20 {
		return time.Time{}, false
	}
	ticks, err := strconv.ParseInt(fields[19], 10, 64) // since boot, field 22, USER_HZ is 100 on every Linux that Go runs on
	if err != nil {
		return time.Time{}, false
	}
	var boot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
		return time.Time{}, false
	}
	age := time.Duration(boot.Nano()) - time.Duration(ticks)*10*time.Millisecond
	return time.Now().Add(-age).Round(10 * time.Millisecond), true
}
