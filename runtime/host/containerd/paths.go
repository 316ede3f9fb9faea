package containerd

import (
	"fmt"
	"os"
	"path/filepath"
)

// maxSocketDir is containerd's bound on the folder of the shims' sockets, whose names must fit into 108 bytes with it.
const maxSocketDir = 42

// paths are all places that a host uses.
type paths struct {
	bin, logs                       string // below DATA
	containerdRoot, containerdState string
	tempMounts                      string
	socket, shimSockets             string
	shortRun                        string // where the sockets are if RUN is too long for them, else ""
	runc, tasks, commands           string // below RUN
}

func newPaths(cfg Config) (paths, error) {
	data, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return paths{}, fmt.Errorf("find data directory: %w", err)
	}
	run, err := filepath.Abs(cfg.RunDir)
	if err != nil {
		return paths{}, fmt.Errorf("find run directory: %w", err)
	}
	p := paths{
		bin: filepath.Join(data, "bin"), logs: filepath.Join(data, "logs"),
		containerdRoot:  filepath.Join(data, "containerd"),
		containerdState: filepath.Join(run, "containerd"),
		tempMounts:      filepath.Join(run, "containerd", "tmpmounts"),
		runc:            filepath.Join(run, "runc"), tasks: filepath.Join(run, "tasks"),
		commands: filepath.Join(run, "exec"),
	}
	sockets := run
	if len(run)+len("/s") > maxSocketDir {
		sockets = "/run/warren-" + cfg.Instance
		p.shortRun = sockets
	}
	p.socket = filepath.Join(sockets, "containerd", "containerd.sock")
	p.shimSockets = filepath.Join(sockets, "s")
	return p, nil
}

// make creates the folders that are ours alone; containerd and runc make their own.
func (p paths) make() error {
	for _, dir := range []string{p.bin, p.logs, p.tasks, filepath.Dir(p.socket), p.shimSockets, p.tempMounts} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
	}
	return nil
}

// bundles are the folders in which containerd keeps what belongs to the running task id.
func (p paths) bundles(namespace, id string) []string {
	const runtime = "io.containerd.runtime.v2.task"
	return []string{
		filepath.Join(p.containerdState, runtime, namespace, id),
		filepath.Join(p.containerdRoot, runtime, namespace, id),
	}
}

func (p paths) runcState(namespace, id string) string { return filepath.Join(p.runc, namespace, id) }

func (p paths) taskLogs(id string) string { return filepath.Join(p.logs, id) }

func (p paths) taskFiles(id string) string { return filepath.Join(p.tasks, id) }

// execs has a folder for each command that runs in id.
func (p paths) execs(id string) string { return filepath.Join(p.commands, id) }

// marker exists while the container of id is being made. A container without a task is half-made if it is there, and was
// lost in a reboot, which empties RUN, if it is not.
func (p paths) marker(id string) string { return filepath.Join(p.tasks, id, "creating") }
