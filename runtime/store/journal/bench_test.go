package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
)

// BenchmarkWrite is one task of 100 that changes its status, on the disk of this machine.
func BenchmarkWrite(b *testing.B) {
	dir := b.TempDir()
	f := openFile(onDisk(dir), owner)
	all := map[meta.Key]*record{}
	for i := range 100 {
		t := task(fmt.Sprintf("web-%d-1", i))
		t.Status = v1.TaskStatus{Phase: v1.TaskRunning, Ready: true, Address: "10.0.1.7", PID: 4711, StartedAt: time.Now(), ImageDigest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
		r, err := recordOf(&entry{base: t})
		if err != nil {
			b.Fatal(err)
		}
		all[t.Key()] = r
	}
	first, err := f.write(all, 1, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	written, n := 0, 0
	for b.Loop() {
		n++
		t := task("web-7-1")
		t.Status = v1.TaskStatus{Phase: v1.TaskRunning, Ready: true, Address: "10.0.1.7", PID: 4711 + n, Restarts: n, StartedAt: time.Now(), ImageDigest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
		r, err := recordOf(&entry{base: t})
		if err != nil {
			b.Fatal(err)
		}
		k, err := f.write(map[meta.Key]*record{t.Key(): r}, 1, time.Now())
		if err != nil {
			b.Fatal(err)
		}
		written += k
	}
	b.ReportMetric(float64(written)/float64(n), "bytes/change")
	b.ReportMetric(float64(first)/100, "bytes/task")
	info, err := os.Stat(filepath.Join(dir, Name))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size()), "bytes-at-end")
}

// BenchmarkOpen reads what BenchmarkWrite leaves of 100 tasks.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	f := openFile(onDisk(dir), owner)
	all := map[meta.Key]*record{}
	for i := range 100 {
		t := task(fmt.Sprintf("web-%d-1", i))
		all[t.Key()], _ = recordOf(&entry{base: t})
	}
	if _, err := f.write(all, 1, time.Now()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if s := Open(Config{Dir: dir, Node: owner.Node, Cluster: owner.Cluster, Kinds: v1.Kinds}); len(s.entries) != 100 {
			b.Fatal(len(s.entries))
		}
	}
}
