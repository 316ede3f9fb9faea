package containerd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"warren.io/warren/runtime/host"
)

// hierarchy is one tree of control groups and what it counts. With version 2 there is one for all, with version 1 one for
// each few. To look only for files that can be there is most of what makes reading many groups cheap.
type hierarchy struct {
	dir    string
	v2     bool
	counts []string // of version 1: cpuacct, memory, blkio, pids ...
}

// hierarchies are those of this machine.
func hierarchies() ([]hierarchy, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	return hierarchiesIn(string(text)), err
}

// hierarchiesIn reads mountinfo. A hierarchy that is mounted twice counts once.
func hierarchiesIn(mountinfo string) (all []hierarchy) {
	seen := map[string]bool{}
	for line := range strings.Lines(mountinfo) { // 35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
		front, back, _ := strings.Cut(line, " - ")
		place, kind := strings.Fields(front), strings.Fields(back)
		if len(place) < 5 || len(kind) < 3 || seen[place[2]] || kind[0] != "cgroup" && kind[0] != "cgroup2" {
			continue
		}
		seen[place[2]] = true
		all = append(all, hierarchy{dir: place[4], v2: kind[0] == "cgroup2", counts: strings.Split(kind[2], ",")})
	}
	return all
}

// groupCounters reads a control group in whatever hierarchies there are; what cannot be read is zero.
func groupCounters(all []hierarchy, path string) (c host.Counters) {
	for _, h := range all {
		dir := filepath.Join(h.dir, path)
		if h.v2 {
			readV2(dir, &c)
			continue
		}
		for _, what := range h.counts {
			if read := readersV1[what]; read != nil {
				read(dir, &c)
			}
		}
	}
	return c
}

// readersV1 are the controllers of version 1 that count what we want to know.
var readersV1 = map[string]func(dir string, c *host.Counters){
	"cpuacct": readCPU, "memory": readMemory, "blkio": readDisk, "pids": readPidsCurrent,
}

// slurp reads a file of the kernel's. Without the runtime's preparations for files that may block that takes half the time.
func slurp(path string) ([]byte, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = syscall.Close(fd) }()
	data := make([]byte, 0, 4096)
	for {
		data = slices.Grow(data, 2048)
		n, err := syscall.Read(fd, data[len(data):cap(data)])
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return nil, err
		case n == 0:
			return data, nil
		default:
			data = data[:len(data)+n]
		}
	}
}
