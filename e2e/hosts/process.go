package hosts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is what a process is to its host.
type Kind string

// Kinds of processes.
const (
	Warren Kind = "warren" // the node itself
	Shim   Kind = "shim"   // containerd's keeper of one task
	Runc   Kind = "runc"   // at work on a task, for a moment
	Task   Kind = "task"   // a process inside a task
	Other  Kind = "other"  // anything else that was started in the host
)

// Process is a process that belongs to a host.
type Process struct {
	PID  int
	Kind Kind
	Task string   // the task that a Shim or Task belongs to, "" if that cannot be seen
	Args []string // command line
}

const killPatience = 15 * time.Second

// Processes finds what belongs to the host: processes in its network namespace or that of one of its tasks, in its cgroup, or
// with a path of its directories as program or in the command line. The caller's own process and its parents are never among them.
func (h *Host) Processes() ([]Process, error) {
	spaces := h.namespaces()
	ancestors := ownProcesses()
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []Process
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil || ancestors[pid] {
			continue
		}
		if p, ok := h.inspect(pid, spaces); ok {
			found = append(found, p)
		}
	}
	return found, nil
}

// Kill ends the processes of these kinds, or all of them, with SIGKILL, and returns when they are gone.
// New ones that appear meanwhile are killed too.
func (h *Host) Kill(kinds ...Kind) error {
	deadline := time.Now().Add(killPatience)
	for {
		all, err := h.Processes()
		if err != nil {
			return err
		}
		left := slices.DeleteFunc(all, func(p Process) bool { return len(kinds) > 0 && !slices.Contains(kinds, p.Kind) })
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("kill processes of %s: %d are left, the first is %d %q", h.Name, len(left), left[0].PID, left[0].Args)
		}
		for _, p := range left {
			if err := h.kill(p.PID); err != nil {
				return err
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// kill looks again once it has hold of the process: the number may belong to another by now.
func (h *Host) kill(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return nil
	}
	defer p.Release()
	if _, ours := h.inspect(pid, h.namespaces()); !ours {
		return nil
	}
	if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %d: %w", pid, err)
	}
	return nil
}

// inspect reads one process; ok says that it lives and belongs to the host.
func (h *Host) inspect(pid int, spaces map[string]string) (p Process, ok bool) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if i := strings.LastIndexByte(string(stat), ')'); err != nil || i < 0 || strings.ContainsAny(string(stat[i:min(i+3, len(stat))]), "ZX") {
		return Process{}, false
	}
	raw, _ := os.ReadFile(dir + "/cmdline")
	space, _ := os.Readlink(dir + "/ns/net")
	exe, _ := os.Readlink(dir + "/exe")
	p = Process{PID: pid, Args: strings.Split(strings.TrimRight(string(raw), "\x00"), "\x00")}
	cgroupTask, inCgroup := h.cgroupTask(dir)
	spaceTask, inSpace := spaces[space]
	if !inCgroup && !inSpace && !h.names(exe) && !slices.ContainsFunc(p.Args, h.names) {
		return Process{}, false
	}
	p.classify(exe, cgroupTask, spaceTask)
	return p, true
}

func (p *Process) classify(exe, cgroupTask, spaceTask string) {
	program := filepath.Base(strings.TrimSuffix(exe, " (deleted)"))
	if p.Task = cgroupTask; p.Task == "" {
		p.Task = spaceTask
	}
	switch {
	case strings.Contains(program, "shim") || len(p.Args) > 0 && strings.Contains(filepath.Base(p.Args[0]), "shim"):
		p.Kind = Shim
		if i := slices.Index(p.Args, "-id"); i >= 0 && i+1 < len(p.Args) {
			p.Task = p.Args[i+1]
		}
	case p.Task == "" && (program == "runc" || len(p.Args) > 0 && filepath.Base(p.Args[0]) == "runc"):
		p.Kind = Runc
	case p.Task != "":
		p.Kind = Task
	case program == "warren" && (slices.Contains(p.Args, "run") || slices.Contains(p.Args, "join")):
		p.Kind = Warren
	default:
		p.Kind = Other
	}
}

// namespaces maps the host's network namespaces to their task; the host's own has none.
func (h *Host) namespaces() map[string]string {
	spaces := map[string]string{}
	add := func(path, task string) {
		if id, err := namespaceID(path); err == nil {
			spaces[id] = task
		}
	}
	add(h.NetNS, "")
	files, _ := os.ReadDir(filepath.Join(h.RunDir, "netns"))
	for _, f := range files {
		add(filepath.Join(h.RunDir, "netns", f.Name()), f.Name())
	}
	return spaces
}

// cgroupTask says whether the process at dir is in a cgroup of the host's node, and of which task.
func (h *Host) cgroupTask(dir string) (task string, ok bool) {
	raw, _ := os.ReadFile(dir + "/cgroup")
	for line := range strings.Lines(string(raw)) {
		if _, rest, found := strings.Cut(strings.TrimSpace(line)+"/", "/"+cgroupName(h.Instance)+"/"); found {
			task, _, _ = strings.Cut(rest, "/")
			return task, true
		}
	}
	return "", false
}

// names says whether text has the path of one of the host's directories, or of something below.
func (h *Host) names(text string) bool {
	for _, dir := range []string{h.DataDir, h.RunDir} {
		if i := strings.Index(text, dir); i >= 0 {
			rest := text[i+len(dir):]
			return rest == "" || strings.ContainsAny(rest[:1], "/ :,'\"")
		}
	}
	return false
}

// ownProcesses are the caller's process and its parents.
func ownProcesses() map[int]bool {
	own := map[int]bool{}
	for pid := os.Getpid(); pid > 0 && !own[pid]; {
		own[pid] = true
		raw, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
		if len(fields) < 2 {
			break
		}
		pid, _ = strconv.Atoi(fields[1])
	}
	return own
}
