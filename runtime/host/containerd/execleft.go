package containerd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/containerd/containerd/api/services/tasks/v1"
)

// endExecs ends the commands of a run of ours that was killed: nobody reads their output any more.
func (h *Host) endExecs() {
	dirs, _ := filepath.Glob(h.paths.execs("*") + "/*")
	for _, dir := range dirs {
		if err := h.endExec(filepath.Base(filepath.Dir(dir)), filepath.Base(dir)); err != nil {
			h.log.Error(err, "a command of an earlier run could not be ended", "dir", dir)
		}
		_ = errors.Join(os.RemoveAll(dir), os.Remove(filepath.Dir(dir)))
	}
}

func (h *Host) endExec(task, id string) error {
	ctx, cancel := context.WithTimeout(h.ctx, startLimit)
	defer cancel()
	container, err := h.client.LoadContainer(ctx, task)
	if err != nil {
		return nil // gone, and the command with it
	}
	t, err := container.Task(ctx, nil)
	if err != nil {
		return nil
	}
	p, err := t.LoadProcess(ctx, id, nil)
	if err != nil {
		return nil
	}
	// containerd's own Process has the number only when it has started it.
	r, err := h.client.TaskService().Get(ctx, &tasks.GetRequest{ContainerID: task, ExecID: id})
	if err != nil {
		return err
	}
	killSession(cgroupPath(h.cfg.Instance, task), int(r.Process.Pid))
	if ended, err := p.Wait(ctx); err == nil && p.Kill(ctx, syscall.SIGKILL) == nil {
		select {
		case <-ended:
		case <-ctx.Done():
		}
	}
	_, err = p.Delete(ctx)
	return err
}
