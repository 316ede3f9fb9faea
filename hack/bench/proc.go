package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ticksPerSecond is USER_HZ, 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// busy is the machine's processor time, from /proc/stat.
type busy struct{ work, all uint64 }

func readBusy() busy {
	raw, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(raw), "\n")
	var b busy
	for i, f := range strings.Fields(line) {
		n, err := strconv.ParseUint(f, 10, 64)
		if err != nil || i > 8 { // what guests use is counted as the user's already
			continue
		}
		b.all += n
		if i != 4 && i != 5 { // idle, and waiting for a disk
			b.work += n
		}
	}
	return b
}

// since is the busy part in percent.
func (b busy) since(before busy) float64 {
	if b.all == before.all {
		return 0
	}
	return 100 * float64(b.work-before.work) / float64(b.all-before.all)
}

func busyFor(ctx context.Context, d time.Duration) float64 {
	before := readBusy()
	pause(ctx, d)
	return readBusy().since(before)
}

// pause lets time pass: what idles is measured over time.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// memory of one process in bytes.
type memory struct{ pss, rss, anonymous int64 }

func readMemory(pid int) (memory, error) {
	values, err := readFields(pid, "smaps_rollup")
	if err != nil {
		return memory{}, err
	}
	return memory{pss: values["Pss"] << 10, rss: values["Rss"] << 10, anonymous: values["Pss_Anon"] << 10}, nil
}

// peakMemory is the most that was resident of a process so far, 0 when it has ended.
func peakMemory(pid int) int64 {
	values, _ := readFields(pid, "status")
	return values["VmHWM"] << 10
}

// cpuTime that a process has used, its dead threads included.
func cpuTime(pid int) (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:])) // from field 3 on
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("read /proc/%d/stat: bad numbers", pid)
	}
	return time.Duration(user+system) * time.Second / ticksPerSecond, nil
}

// writtenBy is how many bytes a process has caused to be written to disks.
func writtenBy(pid int) (int64, error) {
	values, err := readFields(pid, "io")
	return values["write_bytes"], err
}

// switches is how often the threads of a process have gone to sleep: each is a wake-up before.
func switches(pid int) int64 {
	var n int64
	dirs, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	for _, d := range dirs {
		thread, _ := strconv.Atoi(filepath.Base(d))
		values, _ := readFields(thread, "status")
		n += values["voluntary_ctxt_switches"]
	}
	return n
}

// readFields reads the numbers of a file of "name: number unit" lines.
func readFields(pid int, file string) (map[string]int64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	values := map[string]int64{}
	for s := bufio.NewScanner(f); s.Scan(); {
		name, rest, _ := strings.Cut(s.Text(), ":")
		number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if n, err := strconv.ParseInt(number, 10, 64); err == nil {
			values[name] = n
		}
	}
	return values, nil
}

// writtenSince lists the files below dir that were written after a moment. Sockets and pipes are none.
func writtenSince(dir string, moment time.Time) []string {
	var found []string
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() && !d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil && info.ModTime().After(moment) {
			found = append(found, strings.TrimPrefix(path, dir+"/"))
		}
		return nil
	})
	return found
}
