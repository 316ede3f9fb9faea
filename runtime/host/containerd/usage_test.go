package containerd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"warren.io/warren/runtime/host"
)

// TestUsageOfBothVersions reads the files of cgroups as kernels of either version write them.
func TestUsageOfBothVersions(t *testing.T) {
	want := host.Counters{CPU: 1500 * time.Millisecond, Memory: 900, MemoryLimit: 2000, Read: 30, Wrote: 12, Pids: 3}
	versions := map[string]map[string]string{
		"v1": {
			"cpuacct/g/cpuacct.usage":                 "1500000000\n",
			"memory/g/memory.usage_in_bytes":          "1000\n",
			"memory/g/memory.stat":                    "cache 5\ninactive_file 1\ntotal_inactive_file 100\n",
			"memory/g/memory.limit_in_bytes":          "2000\n",
			"blkio/g/blkio.throttle.io_service_bytes": "8:0 Read 10\n8:0 Write 12\n8:0 Sync 22\n8:16 Read 20\nTotal 42\n",
			"pids/g/pids.current":                     "3\n",
			"unified/g/cgroup.procs":                  "",
		},
		"v2": {
			"unified/g/cpu.stat":       "usage_usec 1500000\nuser_usec 1\n",
			"unified/g/memory.current": "1000\n",
			"unified/g/memory.stat":    "anon 5\ninactive_file 100\n",
			"unified/g/memory.max":     "2000\n",
			"unified/g/io.stat":        "8:0 rbytes=10 wbytes=12 rios=1\n8:16 rbytes=20 wbytes=0\n",
			"unified/g/pids.current":   "3\n",
		},
	}
	for name, files := range versions {
		top := t.TempDir()
		for file, text := range files {
			path := filepath.Join(top, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		mountinfo := "22 1 0:5 / /proc rw - proc proc rw\n"
		if name == "v1" {
			for i, what := range []string{"cpu,cpuacct", "memory", "blkio", "pids", "cpuset", "memory"} {
				dir := strings.TrimPrefix(what, "cpu,")
				mountinfo += fmt.Sprintf("3%d 1 0:3%d / %s/%s rw,relatime shared:4 - cgroup cgroup rw,%s\n", i, i%5, top, dir, what)
			}
		}
		mountinfo += "41 31 0:38 / " + top + "/unified rw,relatime - cgroup2 cgroup2 rw\n42 31 0:38 / " + top + "/unified rw - cgroup2 cgroup2 rw\n"
		list := hierarchiesIn(mountinfo)
		if got := groupCounters(list, "/g"); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	unlimited := t.TempDir()
	for file, text := range map[string]string{"memory.usage_in_bytes": "5\n", "memory.limit_in_bytes": "9223372036854771712\n"} {
		if err := os.WriteFile(filepath.Join(unlimited, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := groupCounters([]hierarchy{{dir: unlimited, counts: []string{"memory"}}}, "/"); got != (host.Counters{Memory: 5}) {
		t.Errorf("no limit: %+v", got)
	}
}
