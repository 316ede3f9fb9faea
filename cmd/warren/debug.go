package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/server"
)

// maxReport bounds each part; what is more is cut off.
const maxReport = 4 << 20

// began is when this process did.
var began = time.Now()

// reports tells what a bug report needs to know of this process. Nothing in it was secret: no environment, no keys, no
// contents of files but what the kernel counts.
func (n *node) reports(ctx context.Context, emit func(server.Report) error) error {
	for _, part := range []struct {
		name string
		make func(context.Context, *bytes.Buffer) error
	}{
		{"process.txt", n.reportProcess}, {"log.txt", n.reportLog}, {"metrics.txt", n.reportMetrics},
		{"goroutines.txt", reportGoroutines}, {"memory.txt", reportMemory}, {"disk.txt", n.reportDisk}, {"tasks.txt", n.reportTasks},
	} {
		var b bytes.Buffer
		err := part.make(ctx, &b)
		if b.Len() > maxReport {
			b.Truncate(maxReport)
			err = errors.Join(err, fmt.Errorf("cut off after %d bytes", maxReport))
		}
		r := server.Report{Name: part.name, Data: b.Bytes()}
		if err != nil {
			r.Err = err.Error()
		}
		if err := emit(r); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) reportProcess(_ context.Context, b *bytes.Buffer) error {
	facts := host.ThisMachine{Version: version}.Facts()
	fmt.Fprintf(b, "warren %s, %s, pid %d, up %s since %s\n", version, runtime.Version(), os.Getpid(), time.Since(began).Round(time.Second), began.UTC().Format(time.RFC3339))
	fmt.Fprintf(b, "%s/%s, kernel %s, %d cores, GOGC=%s GOMEMLIMIT=%s\n", facts.OS, facts.Arch, facts.Kernel, runtime.NumCPU(), os.Getenv("GOGC"), os.Getenv("GOMEMLIMIT"))
	fmt.Fprintf(b, "%s\n", strings.Join(withoutToken(os.Args), " "))
	if h, err := n.hosts.get(); err == nil {
		fmt.Fprintf(b, "%s\n", h.Version())
	}
	for _, f := range []string{"/proc/loadavg", "/proc/pressure/cpu", "/proc/pressure/io", "/proc/pressure/memory", "/proc/self/limits", "/proc/self/cgroup"} {
		reportFile(b, f)
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		fmt.Fprintf(b, "\n%s", info)
	}
	return nil
}

// withoutToken are the arguments of a process that may have joined by a token, which others may still use.
func withoutToken(args []string) []string {
	out := slices.Clone(args)
	for i, a := range out {
		name, _, one := strings.Cut(a, "=")
		switch {
		case strings.TrimLeft(name, "-") != "token" || !strings.HasPrefix(name, "-"):
		case one:
			out[i] = name + "=..."
		case i+1 < len(out):
			out[i+1] = "..."
		}
	}
	return out
}

// reportFile copies what the kernel tells in a file, if there is one.
func reportFile(b *bytes.Buffer, name string) {
	if data, err := os.ReadFile(name); err == nil {
		fmt.Fprintf(b, "\n== %s\n%s", name, data)
	}
}

func (n *node) reportLog(_ context.Context, b *bytes.Buffer) error {
	b.Write(n.lines.text())
	return nil
}

// page is an answer of HTTP to ourselves.
type page struct {
	*bytes.Buffer
	header http.Header
}

func (p page) Header() http.Header { return p.header }
func (p page) WriteHeader(int)     {}

func (n *node) reportMetrics(ctx context.Context, b *bytes.Buffer) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/metrics", nil)
	if err == nil {
		n.metrics.handler().ServeHTTP(page{b, http.Header{}}, r)
	}
	return err
}

func reportGoroutines(_ context.Context, b *bytes.Buffer) error {
	return pprof.Lookup("goroutine").WriteTo(b, 2)
}

func reportMemory(_ context.Context, b *bytes.Buffer) error {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Fprintf(b, "heap %d bytes in use, %d idle, %d released; stacks %d; from the system %d; next collection at %d; %d collections, last pause %s; %d goroutines\n",
		m.HeapInuse, m.HeapIdle, m.HeapReleased, m.StackInuse, m.Sys, m.NextGC, m.NumGC, time.Duration(m.PauseNs[(m.NumGC+255)%256]), runtime.NumGoroutine())
	for _, f := range []string{"/proc/self/status", "/proc/self/smaps_rollup", "/proc/meminfo"} {
		reportFile(b, f)
	}
	return nil
}

func (n *node) reportDisk(ctx context.Context, b *bytes.Buffer) error {
	for _, dir := range []string{n.dataDir, n.runDir} {
		var s unix.Statfs_t
		if err := unix.Statfs(dir, &s); err != nil {
			fmt.Fprintf(b, "%s: %v\n", dir, err)
			continue
		}
		fmt.Fprintf(b, "%s: %d bytes, %d free for warren; %d of %d inodes free; file system %#x\n",
			dir, int64(s.Blocks)*s.Bsize, int64(s.Bavail)*s.Bsize, s.Ffree, s.Files, s.Type)
	}
	entries, err := os.ReadDir(n.dataDir)
	for _, e := range entries {
		size, files, all := sizeOf(ctx, filepath.Join(n.dataDir, e.Name()))
		more := ""
		if !all {
			more = " at least"
		}
		fmt.Fprintf(b, "%s:%s %d bytes in %d files\n", e.Name(), more, size, files)
	}
	reportFile(b, "/proc/self/io")
	return err
}

// maxWalk bounds how many files are looked at: unpacked images have many.
const maxWalk = 20_000

func sizeOf(ctx context.Context, root string) (size int64, files int, all bool) {
	err := filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
		if files++; files > maxWalk || ctx.Err() != nil {
			return fs.SkipAll
		}
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			size += info.Size()
		}
		return nil
	})
	return size, files, err == nil && files <= maxWalk && ctx.Err() == nil
}

// reportTasks tells how the host sees its tasks, which may be other than what the store says.
func (n *node) reportTasks(ctx context.Context, b *bytes.Buffer) error {
	h, err := n.hosts.get()
	if err != nil {
		return err
	}
	states, err := h.Observe(ctx)
	for _, s := range states {
		fmt.Fprintf(b, "%s uid=%d attempt=%d failures=%d %s %s pid=%d started=%s exited=%s code=%d image=%s %s\n", s.Name, s.UID, s.Attempt, s.Failures,
			s.Phase, s.Reason, s.PID, stamp(s.StartedAt), stamp(s.ExitedAt), s.ExitCode, s.ImageDigest, s.Message)
	}
	b.WriteString(strings.Join(networkLines(), ""))
	return err
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// networkLines are the machine's links, with their counters.
func networkLines() []string {
	data, err := os.ReadFile("/proc/net/dev")
	if err != nil {
		return nil
	}
	return append([]string{"\n== /proc/net/dev\n"}, strings.SplitAfter(string(data), "\n")...)
}
