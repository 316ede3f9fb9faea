//go:build e2e

package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "warren.io/warren/apis/v1"
)

// because waits until the first line of an answer has all of the words.
func (w *world) because(thing string, words ...string) {
	w.t.Helper()
	var last result
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		last = w.try("why", thing)
		line, _, _ := strings.Cut(last.out, "\n")
		if last.code == 0 && strings.HasPrefix(line, thing+" ") && hasAll(line, words) {
			return
		}
		if time.Now().After(deadline) {
			w.t.Errorf("why %s lacks %q in its first line:\n%s%s", thing, words, last.out, last.err)
			return
		}
	}
}

func hasAll(text string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// fault is one thing that goes wrong, and what the first line of the answer says of it.
type fault struct {
	name   string
	inject func(w *world)
	thing  string
	says   []string
}

// only applies a service and leaves it alone.
func only(name, spec string) func(*world) {
	return func(w *world) { w.apply(service(name, spec)) }
}

// then applies a service, waits until it runs, and does something to it.
func then(name, spec string, more func(w *world)) func(*world) {
	return func(w *world) { w.apply(service(name, spec), "--wait"); more(w) }
}

func ctl(args ...string) func(*world) { return func(w *world) { w.ctl(args...) } }

func crash(name string, signal syscall.Signal, shim bool) func(*world) {
	return func(w *world) {
		pid := w.one(name, "runs", ready).Status.PID
		victims := []int{pid}
		if shim {
			victims = []int{parentOf(w.t, pid), pid}
		}
		for _, p := range victims {
			if err := syscall.Kill(p, signal); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

func parentOf(t *testing.T, pid int) int {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	return parent
}

const lockedAddress = "127.0.0.1:5001"

var faults = []fault{
	{"no such image", only("noimage", fromShelf("none:1")), "task/noimage-1-1", []string{"its image 127.0.0.1:5000/none:1 cannot be fetched", "not found"}},
	{"registry down", only("noregistry", "image: 127.0.0.1:1/none:1\n"), "task/noregistry-1-1", []string{"127.0.0.1:1/none:1 cannot be fetched", "connection refused"}},
	{"no login", only("nologin", "image: "+lockedAddress+"/web:1\n"), "task/nologin-1-1", []string{"cannot be fetched", "authorization failed"}},
	{"other platform", only("platform", fromShelf("arm:1")), "service/platform", []string{"is pending: no node fits: node n1 is linux/amd64, and the image is made for linux/s390x"}},
	{"no such command", only("nocommand", image+"command: [/no/such/program]"), "task/nocommand-1-1", []string{"can never run", "/no/such/program"}},
	{"no such user", only("nouser", image+"user: nobody-there"), "task/nouser-1-1", []string{"can never run", "nobody-there"}},
	{"crash loop", only("crash", image+"args: [-exit, \"3\"]\nrestart: {delay: 100ms, maxDelay: 10m}"), "service/crash", []string{"0 of 1 task ready", "exited with code 3", "failures in a row"}},
	{"out of memory", only("greedy", image+"args: [-eat, 64Mi]\nresources: {limits: {memory: 32Mi}}\nrestart: {delay: 1m, maxDelay: 10m}"),
		"task/greedy-1-1", []string{"does not run", "killed for using more memory than its limit"}},
	{"killed by a signal", then("shot", image, crash("shot", syscall.SIGKILL, false)), "task/shot-1-1", []string{"runs on node n1", "after 1 restart: its process was killed by signal 9"}},
	{"shim killed", then("shimless", image, crash("shimless", syscall.SIGKILL, true)), "task/shimless-1-1", []string{"after 1 restart: it was lost when the machine or its shim went down"}},
	{"no memory", only("big", image+"resources: {reservations: {memory: 900Gi}}"), "task/big-1-1", []string{"is pending: no node fits: node n1 lacks memory: 900Gi is asked for"}},
	{"no CPU", only("fast", image+"resources: {reservations: {cpu: 500}}"), "service/fast", []string{"is pending: no node fits: node n1 lacks CPU: 500 is asked for"}},
	{"scaled down", then("small", image+"replicas: 2", ctl("scale", "service/small", "--replicas", "1")), "task/small-2-2",
		[]string{"was removed", "service small wants 1 replica; user root changed service/small: spec.replicas 2 -> 1"}},
	{"scaled to nothing", then("none", image, ctl("scale", "service/none", "--replicas", "0")), "service/none", []string{"runs no task: spec.replicas is 0"}},
	{"task deleted", then("bare", image, ctl("delete", "task/bare-1-1", "--wait")), "task/bare-1-1", []string{"was removed", "user root deleted task/bare-1-1"}},
	{"service deleted", then("left", image, ctl("delete", "service/left", "--wait")), "task/left-1-1", []string{"was removed", "user root deleted service/left"}},
	{"template changed", then("new", image, func(w *world) { w.apply(service("new", image+"hostname: other"), "--wait") }), "task/new-1-1",
		[]string{"was replaced by new-1-2", "the template of service new changed; user root changed service/new: spec.hostname set to other"}},
	{"restarted", then("again", image, ctl("restart", "service/again", "--wait")), "task/again-1-1", []string{"was replaced by again-1-2", "user root changed service/again: restart asked for"}},
	{"update waits", then("stuck", image+"replicas: 2", func(w *world) {
		w.apply(service("stuck", image+"replicas: 2\ncommand: [/no/such/program]\nrestart: {maxDelay: 10m}"))
	}), "service/stuck", []string{"is not updated: the update waits for stuck-1-3, which can never run", "/no/such/program"}},
	{"no restart", only("once", image+"args: [-exit, \"5\"]\nrestart: {policy: Never}"), "task/once-1-1", []string{"was given up", "exited with code 5; spec.restart.policy is Never"}},
	{"too many failures", only("thrice", image+"args: [-exit, \"6\"]\nrestart: {delay: 10ms, maxAttempts: 2, maxDelay: 10m}"), "task/thrice-1-1",
		[]string{"was given up", "failed 3 times in a row; last: exited with code 6; spec.restart.maxAttempts is 2"}},
	{"done", only("job", image+"args: [-exit, \"0\"]\nrestart: {policy: OnFailure}"), "task/job-1-1", []string{"has ended as it should", "code 0"}},
}

// TestWhy injects faults and asks; the first line of each answer names what was injected.
func TestWhy(t *testing.T) {
	t.Parallel()
	manifests := t.TempDir()
	write(t, filepath.Join(manifests, "kiosk.yaml"), service("kiosk", image))
	w := running(t, "--manifests", manifests)
	s := newShelf(w)
	s.push("arm:1", helloImage(t, "other", "s390x"))
	newShelfAt(w, lockedAddress).login.Store("somebody:secret")
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			f.inject(w)
			w.because(f.thing, f.says...)
		})
	}
	t.Run("healthy", func(t *testing.T) {
		w.apply(service("well", image+"replicas: 2"), "--wait")
		w.because("service/well", "is well: all of its 2 tasks run")
	})
	t.Run("refused manifests", func(t *testing.T) {
		write(t, filepath.Join(manifests, "bad.yaml"), "kind: Nonsense\n")
		w.because("node/n1", "is in trouble: manifests: ", "bad.yaml")
	})
	t.Run("after a kill", func(t *testing.T) { afterKill(w) })
}

// afterKill: what only memory knew is gone with the process; events still tell the causes in short.
func afterKill(w *world) {
	if err := w.cmd.Process.Kill(); err != nil {
		w.t.Fatal(err)
	}
	<-w.ended
	w.start()
	w.ready()
	w.because("task/small-2-2", "is gone", "ScaledDown: removed small-2-2: service small wants 1 replica")
	w.because("task/bare-1-1", "user root deleted it")
	w.because("service/left", "user root deleted it")
	w.await("controllers have made their tasks", func() bool { return len(w.current("well")) == 2 && ready(w.current("well")[0]) })
	if r := w.try("why", "task/nobody-1-1"); r.code != 1 || !strings.Contains(r.err, `task "nobody-1-1": not found`) {
		w.t.Errorf("exit %d: %s%s", r.code, r.out, r.err)
	}
	if got := w.service("small"); got.Status.Desired != 1 || got.Spec.Mode != v1.Replicated {
		w.t.Errorf("service small: %+v", got.Status)
	}
}
