package containerd

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// youth is how long a process may take to say what it does on its stop signal.
const youth = time.Second

// awaitHandler waits until a process that was started a moment ago has said what it does on sig. The kernel gives the first
// process of a container no signal that it has not asked for, so an earlier one would be lost, and with it the grace period.
func (u *unit) awaitHandler(sig syscall.Signal) {
	tick := time.NewTicker(2 * time.Millisecond) // nothing tells of a handler
	defer tick.Stop()
	for time.Since(u.rec.started) < youth && !handles(u.pid, sig) {
		select {
		case <-tick.C:
		case <-u.h.hurry:
			return
		case <-u.h.ctx.Done():
			return
		}
	}
}

// handles tells whether the process pid has a handler for sig or ignores it, or is no more. runc's own handlers, before it
// becomes the program of the task, do not count.
func handles(pid int, sig syscall.Signal) bool {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return true
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err != nil || !strings.Contains(exe, "runc") && asksFor(string(status), sig)
}

// asksFor reads the masks of ignored and caught signals.
func asksFor(status string, sig syscall.Signal) bool {
	for line := range strings.Lines(status) {
		name, mask, _ := strings.Cut(line, ":")
		if name != "SigIgn" && name != "SigCgt" {
			continue
		}
		bits, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
		if err == nil && bits&(1<<(sig-1)) != 0 {
			return true
		}
	}
	return false
}
