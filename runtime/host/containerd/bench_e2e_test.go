//go:build e2e

package containerd

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"

	"warren.io/warren/runtime/host"
)

// TestStartLatency compares a start, from Set to the running process, with the same image through containerd's own client
// and its socket, alternating in one run.
func TestStartLatency(t *testing.T) {
	w := newWorld(t)
	plain := newPlain(t, w)
	const n = 25
	var ours, theirs []time.Duration
	for i := range n {
		theirs = append(theirs, plain.start(fmt.Sprintf("plain-%d", i)))
		name := fmt.Sprintf("ours-%d", i)
		began := time.Now()
		w.set(task(name, "sleep"))
		w.awaitPhase(name, host.Running)
		ours = append(ours, time.Since(began))
		w.set()
		w.awaitNone()
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	t.Logf("p50 %v, p95 %v; containerd's client p50 %v, p95 %v", ours[n/2], ours[n*95/100], theirs[n/2], theirs[n*95/100])
	if ours[n/2] > 2*theirs[n/2] {
		t.Error("more than twice as slow")
	}
	t.Logf("50 by containerd's client, 8 at a time, in %v", plain.startMany(50, 8))
	began := time.Now()
	var many []host.Task
	for i := range 50 {
		many = append(many, task(fmt.Sprintf("many-%02d", i), "sleep"))
	}
	w.set(many...)
	w.await("50 run", allIn(host.Running, 50))
	t.Logf("50 tasks at once in %v", time.Since(began))
	t.Logf("shims: %.1f MiB PSS each", w.shimPSS())
	began = time.Now()
	w.set()
	w.awaitNone()
	t.Logf("50 removed in %v", time.Since(began))
}

func (w *world) shimPSS() float64 {
	total, n := 0.0, 0
	for _, p := range w.host.shims() {
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.pid))
		for line := range strings.Lines(string(data)) {
			var kb float64
			if k, _ := fmt.Sscanf(line, "Pss: %f kB", &kb); k == 1 {
				total += kb / 1024
				n++
			}
		}
	}
	return total / float64(n)
}

// plain starts containers in the way of containerd's examples.
type plain struct {
	t      *testing.T
	w      *world
	ctx    context.Context
	client *client.Client
	image  client.Image
}

func newPlain(t *testing.T, w *world) *plain {
	t.Helper()
	c, err := client.New(w.host.paths.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	p := &plain{t: t, w: w, ctx: namespaces.WithNamespace(bg(), "warren"), client: c}
	if p.image, err = c.GetImage(p.ctx, "docker.io/library/prog:1"); err != nil {
		t.Fatal(err)
	}
	return p
}

// startMany starts n containers and returns how long it took until all ran.
func (p *plain) startMany(n, atOnce int) time.Duration {
	p.t.Helper()
	began := time.Now()
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	tasks := make([]client.Task, n)
	for i := range n {
		all.Go(func() {
			slots <- struct{}{}
			tasks[i], _ = p.begin(fmt.Sprintf("many-plain-%d", i))
			<-slots
		})
	}
	all.Wait()
	took := time.Since(began)
	for i, k := range tasks {
		p.end(fmt.Sprintf("many-plain-%d", i), k)
	}
	return took
}

func (p *plain) start(id string) time.Duration {
	p.t.Helper()
	began := time.Now()
	k, err := p.begin(id)
	if err != nil {
		p.t.Fatal(err)
	}
	took := time.Since(began)
	p.end(id, k)
	return took
}

func (p *plain) begin(id string) (client.Task, error) {
	c, err := p.client.NewContainer(p.ctx, id, client.WithNewSnapshot(id, p.image), client.WithSnapshotter(snapshotter),
		client.WithRuntime(p.w.host.programs.shim, &options.Options{BinaryName: p.w.host.programs.runc, Root: p.w.host.paths.runc}),
		client.WithNewSpec(oci.WithImageConfig(p.image), oci.WithProcessArgs("/prog", "sleep"), seccomp.WithDefaultProfile()))
	if err != nil {
		return nil, err
	}
	k, err := c.NewTask(p.ctx, cio.NullIO)
	if err != nil {
		return nil, err
	}
	return k, k.Start(p.ctx)
}

func (p *plain) end(id string, k client.Task) {
	p.t.Helper()
	if _, err := k.Delete(p.ctx, client.WithProcessKill); err != nil {
		p.t.Fatal(err)
	}
	c, err := p.client.LoadContainer(p.ctx, id)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := c.Delete(p.ctx, client.WithSnapshotCleanup); err != nil {
		p.t.Fatal(err)
	}
}

// TestExistingContainerd works on the socket of a containerd that another host runs.
func TestExistingContainerd(t *testing.T) {
	owner := newWorld(t)
	w := emptyWorld(t)
	cfg := testConfig(w.data, w.run, "c1", func() {
		select {
		case w.changed <- struct{}{}:
		default:
		}
	})
	cfg.Socket = owner.host.paths.socket
	h, err := Open(bg(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.host = h
	w.await("ready", func([]host.State) bool { return true })
	w.importImage()
	w.set(task("a", "sleep"), task("b", "exit", "3"))
	before := w.awaitPhase("a", host.Running)
	if s := w.awaitPhase("b", host.Exited); s.ExitCode != 3 {
		t.Errorf("%+v", s)
	}
	w.close()
	if w.host, err = Open(bg(), cfg); err != nil {
		t.Fatal(err)
	}
	if s := w.awaitPhase("a", host.Running); s.PID != before.PID {
		t.Errorf("%+v", s)
	}
	w.set()
	w.awaitNone()
	w.assertClean()
}
