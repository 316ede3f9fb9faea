package host

import (
	"bufio"
	"os"
	"runtime"
	"strconv"
	"strings"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
)

// ThisMachine is the machine that this process runs on.
type ThisMachine struct{ Version string }

// Facts implements Machine. What cannot be read is left zero, and then nothing that reserves it is placed here.
func (m ThisMachine) Facts() Facts {
	f := Facts{OS: runtime.GOOS, Arch: runtime.GOARCH, Version: m.Version}
	f.Hostname, _ = os.Hostname()
	f.Kernel = firstLine("/proc/sys/kernel/osrelease")
	f.Capacity = v1.ResourceList{
		CPU:    meta.CPU(1000 * runtime.NumCPU()),
		Memory: memTotal(),
		Pids:   number(firstLine("/proc/sys/kernel/threads-max")),
	}
	return f
}

func memTotal() meta.Bytes {
	file, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "MemTotal:"); ok {
			return meta.Bytes(number(strings.TrimSuffix(strings.TrimSpace(rest), " kB")) << 10)
		}
	}
	return 0
}

func firstLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return line
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
