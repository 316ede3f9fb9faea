//go:build e2e

package kill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"warren.io/warren/e2e/hosts"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/store/grpcstore"
)

// What the build made, seen from this folder.
const (
	builtWarren = "../../bin/warren"
	builtImage  = "../../.build/hello.tar"
)

// node is a host and the warren on it, which comes and goes.
type node struct {
	host    *hosts.Host
	program string // a copy: somebody may build meanwhile
	store   *grpcstore.Store
	warren  *exec.Cmd
	log     *os.File
}

// newNode starts a node with the image on a fresh host.
func newNode(t *testing.T) *node {
	t.Helper()
	n := bareNode(t)
	if err := n.start(); err != nil {
		t.Fatal(err)
	}
	if err := n.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := n.importImage(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}

// bareNode has never been started.
func bareNode(t *testing.T) *node {
	t.Helper()
	h, err := hosts.New(t).Host("n")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{host: h, program: filepath.Join(t.TempDir(), "warren")}
	if err := copyFile(n.program, builtWarren); err != nil {
		t.Fatalf("needs what the build makes, run: make build hello: %v", err)
	}
	if n.log, err = os.Create(filepath.Join(t.TempDir(), "warren.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.end(t) })
	if n.store, err = grpcstore.Dial("unix://"+filepath.Join(h.RunDir, "warren.sock"), grpcstore.Options{}); err != nil {
		t.Fatal(err)
	}
	return n
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func (n *node) importImage(ctx context.Context) error {
	archive, err := os.Open(builtImage)
	if err != nil {
		return fmt.Errorf("needs what the build makes, run: make build hello: %w", err)
	}
	defer archive.Close()
	_, err = n.store.ImportImage(ctx, archive, host.ImportOptions{})
	return err
}

func (n *node) start() error {
	n.warren = n.host.Command(context.Background(), n.program, "run", "--data-dir", n.host.DataDir, "--run-dir", n.host.RunDir,
		"--node-name", "n1")
	n.warren.Stdout, n.warren.Stderr = n.log, n.log
	if err := n.warren.Start(); err != nil {
		return fmt.Errorf("start warren: %w", err)
	}
	return nil
}

// kill ends warren alone, if it runs.
func (n *node) kill() {
	if n.warren != nil {
		_ = n.warren.Process.Kill()
		_ = n.warren.Wait()
	}
}

// ready waits until warren says that all of it is.
func (n *node) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	for {
		why := n.unready(ctx)
		if why == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for warren: %s", why)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (n *node) unready(ctx context.Context) string {
	info, err := n.store.Info(ctx)
	if err != nil {
		return err.Error()
	}
	if !info.Leader {
		return "warren does not lead"
	}
	for _, c := range info.Ready {
		if !c.OK {
			return fmt.Sprintf("warren is not ready: %s: %s", c.Name, c.Message)
		}
	}
	return ""
}

// end shows the end of the log when the test failed. The bench ends the processes.
func (n *node) end(t *testing.T) {
	_ = n.store.Close()
	n.kill()
	if !t.Failed() {
		return
	}
	log, _ := os.ReadFile(n.log.Name())
	lines := bytes.SplitAfter(log, []byte("\n"))
	t.Logf("end of warren's log:\n%s", bytes.Join(lines[max(0, len(lines)-60):], nil))
}

// await returns at a moment.
func (n *node) await(m moment, begun <-chan int) {
	for write := range begun {
		if write >= m.write {
			break
		}
	}
	timer := time.NewTimer(m.after)
	defer timer.Stop()
	if m.commits == 0 {
		<-timer.C
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, revision, err := n.store.List(ctx)
	if err != nil {
		return
	}
	batches := n.store.Watch(ctx, revision)
	for seen := 0; seen < m.commits; seen++ {
		select {
		case <-timer.C:
			return
		case <-batches:
		}
	}
}

// strike kills what the round says and returns the tasks that this concerns.
func (n *node) strike(r *round) (map[string]bool, error) {
	victims := map[string]bool{}
	if r.kind.hits(everything) || r.kind.hits(thePower) {
		victims[everything] = true
		return victims, n.killAll(r)
	}
	processes, err := n.host.Processes()
	if err != nil {
		return nil, err
	}
	for _, p := range n.targets(r, processes) {
		if p.Kind != hosts.Warren {
			victims[p.Task] = true
		}
		if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return nil, err
		}
	}
	if r.kind.hits(theNode) {
		n.kill() // it may not have been warren yet, but still nsenter
	}
	return victims, nil
}

func (n *node) killAll(r *round) error {
	end := n.host.Kill
	if r.kind.hits(thePower) {
		end = func(...hosts.Kind) error { return n.host.Reboot() }
	}
	err := end()
	_ = n.warren.Wait()
	return err
}

func (n *node) targets(r *round, all []hosts.Process) (targets []hosts.Process) {
	of := func(k hosts.Kind) []hosts.Process {
		return slices.DeleteFunc(slices.Clone(all), func(p hosts.Process) bool { return p.Kind != k || p.Kind != hosts.Warren && p.Task == "" })
	}
	one := func(some []hosts.Process) []hosts.Process {
		if len(some) == 0 {
			return nil
		}
		return some[int(r.pick*float64(len(some))):][:1]
	}
	if r.kind.hits(theNode) {
		targets = of(hosts.Warren)
	}
	switch {
	case r.kind.hits(aShim):
		targets = append(targets, one(of(hosts.Shim))...)
	case r.kind.hits(allShims):
		targets = append(targets, of(hosts.Shim)...)
	case r.kind.hits(aTask):
		targets = append(targets, one(of(hosts.Task))...)
	}
	return targets
}

// startAgain starts warren with the same directories, and in some rounds kills it once more while it comes up.
func (n *node) startAgain(t *testing.T, r *round) {
	t.Helper()
	if err := n.start(); err != nil {
		t.Fatal(err)
	}
	if r.again > 0 {
		time.Sleep(r.again) // how far it has come by then is what the round tries out
		n.kill()
		if err := n.start(); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.ready(t.Context()); err != nil {
		t.Error(err)
	}
}

// died says so if warren ended by itself.
func (n *node) died() string {
	if n.warren.ProcessState != nil {
		return "warren has ended"
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.warren.Process.Pid))
	if err != nil || strings.Contains(string(stat), ") Z ") {
		return "warren has ended by itself"
	}
	return ""
}
