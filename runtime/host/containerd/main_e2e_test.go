//go:build e2e

package containerd

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"

	"warren.io/warren/runtime/host"
)

const (
	roleEnv   = "WARREN_TEST_ROLE"
	configEnv = "WARREN_TEST_CONFIG"
)

// TestMain runs the tests in their own process, network and mount namespaces: whatever a failed test leaves ends with them.
func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "":
		os.Exit(isolate())
	case "init":
		os.Exit(beInit())
	case "host":
		os.Exit(beHost())
	}
	os.Exit(m.Run())
}

func isolate() int {
	if os.Geteuid() != 0 {
		fmt.Println("these tests need root: containers cannot be made")
		if os.Getenv("CI") == "true" {
			return 1
		}
		return 0
	}
	cmd := again("init")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL,
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return code(cmd.Run())
}

func again(role string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	return cmd
}

func code(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// beInit is process 1 of the namespace: it starts the tests and reaps what others leave.
func beInit() int {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return code(err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return code(err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return code(fmt.Errorf("%s: %w", out, err))
	}
	cmd := again("tests")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return code(err)
	}
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return code(err)
		}
		if pid == cmd.Process.Pid {
			return ws.ExitStatus()
		}
	}
}

// childConfig is what a host in a process of its own is started with.
type childConfig struct{ Data, Run, Cluster string }

// report is what it tells its parent, one a line.
type report struct {
	States []host.State
	Err    string
}

// beHost is a node that can be killed: it takes wishes on stdin and tells what it observes on stdout.
func beHost() int {
	var c childConfig
	if err := json.Unmarshal([]byte(os.Getenv(configEnv)), &c); err != nil {
		return code(err)
	}
	changed := make(chan struct{}, 1)
	poke := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	h, err := Open(bg(), testConfig(c.Data, c.Run, c.Cluster, poke))
	if err != nil {
		return code(err)
	}
	go func() {
		out := json.NewEncoder(os.Stdout)
		for range changed {
			states, err := h.Observe(bg())
			if err == nil {
				_ = out.Encode(report{States: states})
			}
		}
	}()
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var want []host.Task
		if err := json.Unmarshal(in.Bytes(), &want); err != nil {
			return code(err)
		}
		if err := h.Set(bg(), want); err != nil {
			return code(err)
		}
	}
	return code(h.Close())
}

func testLog() logr.Logger {
	return funcr.New(func(prefix, args string) { fmt.Fprintln(os.Stderr, prefix, args) }, funcr.Options{LogTimestamp: true})
}
