package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/typeurl/v2"
	"github.com/moby/sys/signal"
	"github.com/opencontainers/runtime-spec/specs-go"

	"warren.io/warren/runtime/host"
)

// killLimit is how long a process may take to end after SIGKILL before the machine is dealt with directly.
const killLimit = 10 * time.Second

// ended records how the process ended.
func (u *unit) ended(e exit) {
	if u.h.ctx.Err() != nil {
		return
	}
	u.exit, u.pid = nil, 0
	if e.err != nil {
		u.lost(e.err)
		return
	}
	u.conclude(e)
}

// conclude stores and tells the result of an attempt whose process has ended.
func (u *unit) conclude(e exit) {
	r := u.rec
	r.result, r.reason = host.Exited, host.ReasonExited
	r.exitCode, r.exitedAt = e.code, e.at
	r.message = fmt.Sprintf("exit code %d", e.code)
	if e.code != 0 && oomKilled(cgroupPath(u.h.cfg.Instance, u.name)) {
		r.oomKilled, r.reason, r.message = true, host.ReasonOOMKilled, "out of memory"
	}
	u.over()
}

// over stores and tells the result that the record has got.
func (u *unit) over() {
	u.half, u.stale = false, true
	u.exited()
	u.remember(nil)
	u.tell(u.rec.state(u.name, u.rec.result))
}

// remember puts the result into the labels of the container; if there is none, into one that has nothing else.
func (u *unit) remember(labels map[string]string) {
	ctx, cancel := u.h.finishing()
	defer cancel()
	if err := u.store(ctx, labels); err != nil {
		u.h.log.Error(err, "the result of an attempt could not be stored", "task", u.name)
	}
}

func (u *unit) store(ctx context.Context, labels map[string]string) error {
	store := u.h.client.ContainerService()
	outcome := u.rec.outcome()
	fields := make([]string, 0, len(outcome))
	for k := range outcome {
		fields = append(fields, "labels."+k)
	}
	old, err := store.Get(ctx, u.name)
	if err == nil && sameAttempt(old.Labels, u.rec) {
		_, err := store.Update(ctx, containers.Container{ID: u.name, Labels: outcome}, fields...)
		return err
	}
	if err == nil {
		_, err := store.Update(ctx, containers.Container{ID: u.name, Labels: u.rec.labels(labels)}, "labels")
		return err
	}
	if !errdefs.IsNotFound(err) {
		return err
	}
	spec, err := typeurl.MarshalAny(&specs.Spec{})
	if err != nil {
		return err
	}
	_, err = store.Create(ctx, containers.Container{ID: u.name, Labels: u.rec.labels(labels), Spec: spec,
		Runtime: containers.RuntimeInfo{Name: u.h.programs.shim}})
	return err
}

func sameAttempt(labels map[string]string, r *record) bool {
	stored, err := readRecord(labels)
	return err == nil && stored.uid == r.uid && stored.attempt == r.attempt
}

// lost finds out why containerd could not say how the process ended. Mostly its shim is gone, and the process with it or
// about to follow: a task without a shim can be neither watched nor stopped in good order.
func (u *unit) lost(cause error) {
	for tries := 1; ; tries++ {
		p, err := u.h.process(u.name)
		switch {
		case err == nil && p.Status == tasktypes.Status_RUNNING:
			u.pid = int(p.Pid)
			u.watch()
			return
		case err == nil && p.Status == tasktypes.Status_STOPPED:
			u.conclude(exit{code: int(p.ExitStatus), at: p.ExitedAt.AsTime()})
			return
		case errdefs.IsNotFound(err) || u.h.daemon != nil && tries > 5:
			u.giveUp(cause)
			return
		}
		select { // an existing containerd may be restarting
		case <-u.h.ctx.Done():
			return
		case <-time.After(backoff(tries, 50*time.Millisecond, 2*time.Second)):
		}
	}
}

func (u *unit) giveUp(cause error) {
	u.h.log.Info("a task was lost", "task", u.name, "cause", cause.Error())
	if err := u.h.force(u.name); err != nil {
		u.h.log.Error(err, "what a lost task left could not be removed", "task", u.name)
	}
	u.rec.result, u.rec.reason, u.rec.message = host.Exited, host.ReasonLost, "its shim ended"
	u.rec.exitCode, u.rec.exitedAt = 128+int(syscall.SIGKILL), time.Now()
	u.over()
}

// process asks containerd about a task's process.
func (h *Host) process(name string) (*tasktypes.Process, error) {
	ctx, cancel := h.finishing()
	defer cancel()
	r, err := h.client.TaskService().Get(ctx, &tasks.GetRequest{ContainerID: name})
	if err != nil {
		return nil, errgrpc.ToNative(err)
	}
	return r.Process, nil
}

// terminate ends the running process: its signal, its grace period, SIGKILL. False: it could not, or we are being closed.
func (u *unit) terminate() bool {
	stopping := u.runningState()
	stopping.Phase = host.Stopping
	u.tell(stopping)
	sig, err := signal.ParseSignal(u.rec.signal)
	if err != nil {
		sig = syscall.SIGTERM
	}
	u.awaitHandler(sig)
	if err := u.kill(sig); err != nil {
		u.h.log.Error(err, "stop signal could not be sent", "task", u.name)
	}
	grace := time.NewTimer(u.rec.grace)
	defer grace.Stop()
	select {
	case e := <-u.exit:
		return u.gone(e)
	case <-u.h.ctx.Done():
		return false
	case <-u.h.hurry:
	case <-grace.C:
	}
	_ = u.kill(syscall.SIGKILL)
	select {
	case e := <-u.exit:
		return u.gone(e)
	case <-u.h.ctx.Done():
		return false
	case <-time.After(killLimit):
	}
	u.exit = nil
	if err := u.h.force(u.name); err != nil {
		u.h.log.Error(err, "a process could not be ended, will try again", "task", u.name)
		u.watch()
		return false
	}
	return true
}

func (u *unit) gone(e exit) bool {
	if u.h.ctx.Err() != nil {
		return false
	}
	u.exit, u.pid = nil, 0
	u.unsure = u.unsure || e.err != nil
	return true
}

func (u *unit) kill(sig syscall.Signal) error {
	ctx, cancel := u.h.finishing()
	defer cancel()
	_, err := u.h.client.TaskService().Kill(ctx, &tasks.KillRequest{ContainerID: u.name, Signal: uint32(sig)})
	if err = errgrpc.ToNative(err); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	return nil
}

// clear removes task and snapshot of the recorded attempt and leaves the container, which carries the result.
func (u *unit) clear() error {
	ctx, cancel := u.h.finishing()
	defer cancel()
	err := u.h.deleteTask(ctx, u.name)
	if err != nil {
		u.h.log.Info("a task could not be deleted in good order", "task", u.name, "cause", err.Error())
	}
	if err != nil || u.unsure {
		if err := u.h.force(u.name); err != nil {
			return err
		}
	}
	err = u.h.client.SnapshotService(snapshotter).Remove(ctx, u.snapshotKey())
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove root file system: %w", err)
	}
	return nil
}

// deleteTask ends what still runs and removes the task with its shim.
func (h *Host) deleteTask(ctx context.Context, name string) error {
	service := h.client.TaskService()
	p, err := h.process(name)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err == nil && p.Status != tasktypes.Status_STOPPED {
		if _, err := service.Kill(ctx, &tasks.KillRequest{ContainerID: name, Signal: uint32(syscall.SIGKILL), All: true}); err == nil {
			_, _ = service.Wait(ctx, &tasks.WaitRequest{ContainerID: name})
		}
	}
	_, err = service.Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: name})
	if err = errgrpc.ToNative(err); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	return nil
}

// remove takes away everything of the task: it is not wanted any more.
func (u *unit) remove() {
	if u.exit != nil && !u.terminate() {
		return
	}
	stopping := u.rec.state(u.name, host.Stopping)
	stopping.Phase = host.Stopping
	u.tell(stopping)
	if err := u.removeAll(); err != nil {
		u.h.log.Error(err, "a task could not be removed completely, will try again", "task", u.name)
		stopping.Message = err.Error()
		u.tell(stopping)
		u.pause()
		return
	}
	u.rec, u.half, u.stale, u.unsure, u.tries = nil, false, false, false, 0
}

func (u *unit) removeAll() error {
	if u.h.foreign[u.name] {
		return nil
	}
	ctx, cancel := u.h.finishing()
	defer cancel()
	if u.stale {
		if err := u.clear(); err != nil {
			return err
		}
	}
	if err := u.h.client.ContainerService().Delete(ctx, u.name); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove container: %w", err)
	}
	u.h.images.touch(ctx, u.rec.digest)
	return errors.Join(
		wrap("detach from network", u.h.cfg.Network.Detach(ctx, u.name)),
		u.h.removeBundle(u.name), // containerd leaves one where its own removal was cut off before
		removeCgroup(cgroupPath(u.h.cfg.Instance, u.name)),
		os.RemoveAll(u.h.paths.taskFiles(u.name)),
		os.RemoveAll(u.h.paths.taskLogs(u.name)),
	)
}

// finishing is the context of work that is not left half-done when we are closed.
func (h *Host) finishing() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(h.ctx), time.Minute)
}
