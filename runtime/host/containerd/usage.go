package containerd

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"warren.io/warren/runtime/host"
)

var _ host.Meter = (*Host)(nil)

// Usage reads the counters of this machine and of all running tasks, from the kernel, now.
func (h *Host) Usage(ctx context.Context) (host.Usage, error) {
	states, err := h.Observe(ctx)
	if err != nil {
		return host.Usage{}, fmt.Errorf("read usage: %w", err)
	}
	trees, err := hierarchies()
	if err != nil {
		return host.Usage{}, fmt.Errorf("read usage: %w", err)
	}
	u := host.Usage{Node: h.cfg.NodeName, Time: time.Now(), Cores: runtime.NumCPU()}
	u.Total = machineCounters()
	var disk unix.Statfs_t
	if err := unix.Statfs(h.paths.logs, &disk); err == nil {
		u.DiskSize = int64(disk.Blocks) * disk.Bsize
		u.DiskUsed = int64(disk.Blocks-disk.Bfree) * disk.Bsize
	}
	for _, s := range states {
		if s.Phase != host.Running {
			continue
		}
		t := host.TaskUsage{Name: s.Name, Service: h.serviceOf(s.Name), Attempt: s.Attempt}
		t.Counters = groupCounters(trees, cgroupPath(h.cfg.Instance, s.Name))
		t.Received, t.Sent = networkBytes(fmt.Sprintf("/proc/%d/net/dev", s.PID), notLoopback)
		u.Tasks = append(u.Tasks, t)
	}
	return u, nil
}

func (h *Host) serviceOf(task string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if u := h.units[task]; u != nil && u.want != nil {
		return u.want.Service
	}
	return ""
}

func readV2(dir string, c *host.Counters) {
	if t, ok := keyed(dir, "cpu.stat")["usage_usec"]; ok {
		c.CPU = max(c.CPU, time.Duration(t)*time.Microsecond)
	}
	if n, ok := single(dir, "memory.current"); ok {
		c.Memory = max(n-keyed(dir, "memory.stat")["inactive_file"], 0)
		c.MemoryLimit, _ = single(dir, "memory.max") // "max" is no number
	}
	readPidsCurrent(dir, c)
	for _, words := range table(dir, "io.stat") { // 8:0 rbytes=1 wbytes=2 rios=3 ...
		for _, w := range words {
			name, value, _ := strings.Cut(w, "=")
			n, _ := strconv.ParseInt(value, 10, 64)
			switch name {
			case "rbytes":
				c.Read += n
			case "wbytes":
				c.Wrote += n
			}
		}
	}
}

// noLimit is below what version 1 says when there is no limit.
const noLimit = 1 << 60

func readCPU(dir string, c *host.Counters) {
	if t, ok := single(dir, "cpuacct.usage"); ok {
		c.CPU = time.Duration(t)
	}
}

func readMemory(dir string, c *host.Counters) {
	n, ok := single(dir, "memory.usage_in_bytes")
	if !ok {
		return
	}
	c.Memory = max(n-keyed(dir, "memory.stat")["total_inactive_file"], 0)
	if limit, ok := single(dir, "memory.limit_in_bytes"); ok && limit < noLimit {
		c.MemoryLimit = limit
	}
}

func readDisk(dir string, c *host.Counters) {
	for _, words := range table(dir, "blkio.throttle.io_service_bytes") { // 8:0 Read 1
		if len(words) != 3 {
			continue
		}
		n, _ := strconv.ParseInt(words[2], 10, 64)
		switch words[1] {
		case "Read":
			c.Read += n
		case "Write":
			c.Wrote += n
		}
	}
}

func readPidsCurrent(dir string, c *host.Counters) {
	if n, ok := single(dir, "pids.current"); ok {
		c.Pids = n
	}
}

func single(dir, file string) (int64, bool) {
	data, err := slurp(filepath.Join(dir, file))
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(data)), 10, 64)
	return n, err == nil
}

// table is the words of each line of a file.
func table(dir, file string) [][]string {
	data, _ := slurp(filepath.Join(dir, file))
	var rows [][]string
	for line := range strings.Lines(string(data)) {
		rows = append(rows, strings.Fields(line))
	}
	return rows
}

// keyed reads lines like "name 12".
func keyed(dir, file string) map[string]int64 {
	out := map[string]int64{}
	for _, words := range table(dir, file) {
		if len(words) >= 2 {
			n, _ := strconv.ParseInt(words[1], 10, 64)
			out[strings.TrimSuffix(words[0], ":")] = n
		}
	}
	return out
}

// machineCounters are those of the whole machine. Its network is what can be seen from this process, without loopback and
// the links to tasks, whose traffic would count twice.
func machineCounters() (c host.Counters) {
	for _, words := range table("/proc", "stat") {
		if len(words) > 8 && words[0] == "cpu" {
			c.CPU = busy(words[1:])
		}
	}
	memory := keyed("/proc", "meminfo") // in kB
	c.Memory, c.MemoryLimit = (memory["MemTotal"]-memory["MemAvailable"])<<10, memory["MemTotal"]<<10
	c.Received, c.Sent = networkBytes("/proc/net/dev", isUplink)
	for _, words := range table("/proc", "diskstats") {
		if len(words) > 9 && wholeDisk(words[2]) {
			read, _ := strconv.ParseInt(words[5], 10, 64)
			wrote, _ := strconv.ParseInt(words[9], 10, 64)
			c.Read, c.Wrote = c.Read+read<<9, c.Wrote+wrote<<9 // sectors of 512 bytes
		}
	}
	for _, words := range table("/proc", "loadavg") {
		if len(words) > 3 {
			_, all, _ := strings.Cut(words[3], "/")
			c.Pids, _ = strconv.ParseInt(all, 10, 64)
		}
	}
	return c
}

// busy is user nice system irq softirq steal, of the fields user nice system idle iowait irq softirq steal, in 1/100 s.
func busy(fields []string) time.Duration {
	var ticks int64
	for i, f := range fields[:8] {
		if n, err := strconv.ParseInt(f, 10, 64); err == nil && i != 3 && i != 4 {
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// wholeDisk leaves out partitions and what lies on other disks.
func wholeDisk(name string) bool {
	_, err := os.Stat("/sys/block/" + name)
	return err == nil && !strings.HasPrefix(name, "loop") && !strings.HasPrefix(name, "ram") && !strings.HasPrefix(name, "dm-") && !strings.HasPrefix(name, "md")
}

func notLoopback(name string) bool { return name != "lo" }

// isUplink leaves out loopback, bridges and what hangs on them.
func isUplink(name string) bool {
	dir := "/sys/class/net/" + name
	_, bridge := os.Stat(dir + "/bridge")
	_, port := os.Lstat(dir + "/master")
	return name != "lo" && bridge != nil && port != nil
}

func networkBytes(file string, counts func(string) bool) (received, sent int64) {
	data, err := slurp(file)
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(data)) {
		name, rest, ok := strings.Cut(line, ":")
		words := strings.Fields(rest)
		if !ok || len(words) < 9 || !counts(strings.TrimSpace(name)) {
			continue
		}
		in, _ := strconv.ParseInt(words[0], 10, 64)
		out, _ := strconv.ParseInt(words[8], 10, 64)
		received, sent = received+in, sent+out
	}
	return received, sent
}
