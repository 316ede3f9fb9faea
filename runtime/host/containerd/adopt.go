package containerd

import (
	"context"
	"os"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"

	"warren.io/warren/runtime/host"
)

// firstLook takes over what is there, and only then lets wishes be acted on.
func (h *Host) firstLook() {
	for tries := 1; ; tries++ {
		err := h.adopt()
		if err == nil {
			break
		}
		h.log.Error(err, "the machine could not be looked at, will try again")
		select {
		case <-h.ctx.Done():
			return
		case <-time.After(backoff(tries, 100*time.Millisecond, 10*time.Second)):
		}
	}
	h.endExecs()
	h.begin()
	h.cfg.Poke()
}

// begin lets the units that were adopted work, and applies a wish that came early.
func (h *Host) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ready = true
	for _, u := range h.units {
		h.launch(u)
	}
	if !h.known {
		return
	}
	byName := map[string]*host.Task{}
	for _, t := range h.wish {
		byName[t.Name] = &t
	}
	h.wish = nil
	h.apply(byName)
	h.running.Go(h.sweep)
}

// adopt makes a unit for each container.
func (h *Host) adopt() error {
	ctx, cancel := h.finishing()
	defer cancel()
	h.endStrays()
	there, err := h.client.ContainerService().List(ctx)
	if err != nil {
		return err
	}
	list, err := h.client.TaskService().List(ctx, &tasks.ListTasksRequest{})
	if err != nil && !errdefs.IsNotFound(errgrpc.ToNative(err)) { // the namespace, before the first container
		return errgrpc.ToNative(err)
	}
	procs := map[string]*tasktypes.Process{}
	for _, p := range list.GetTasks() {
		procs[p.ID] = p
	}
	h.mu.Lock()
	h.units = map[string]*unit{}
	h.mu.Unlock()
	for _, c := range there {
		h.adoptContainer(c, procs[c.ID])
	}
	return nil
}

func (h *Host) adoptContainer(c containers.Container, p *tasktypes.Process) {
	rec, err := readRecord(c.Labels)
	if err == nil && rec.cluster != h.cfg.Cluster {
		h.log.Info("a container of another cluster is left alone", "container", c.ID, "cluster", rec.cluster)
		h.foreign[c.ID] = true
		return
	}
	if err != nil {
		h.log.Error(err, "a container that is none of ours will be removed", "container", c.ID)
		rec = &record{uid: -1, result: host.Failed, reason: host.ReasonLost, message: err.Error()}
	}
	h.mu.Lock()
	u := h.newUnit(c.ID)
	h.mu.Unlock()
	u.rec, u.stale = rec, true
	u.takeOver(p)
}

// takeOver decides what state a container is in that an earlier run of ours left.
func (u *unit) takeOver(p *tasktypes.Process) {
	_, marker := os.Stat(u.h.paths.marker(u.name))
	switch {
	case u.rec.result != "":
		u.state = u.rec.state(u.name, u.rec.result)
	case p == nil && marker == nil, p != nil && p.Status == tasktypes.Status_CREATED:
		u.half, u.unsure = true, true
		u.state = u.rec.state(u.name, host.Creating)
	case p == nil:
		u.rec.result, u.rec.reason, u.rec.message = host.Exited, host.ReasonLost, "it was not there any more"
		u.rec.exitCode, u.rec.exitedAt = 255, time.Now()
		u.over()
	case p.Status == tasktypes.Status_STOPPED:
		u.conclude(exit{code: int(p.ExitStatus), at: p.ExitedAt.AsTime()})
	case p.Status == tasktypes.Status_UNKNOWN:
		u.giveUp(context.Canceled)
	default:
		u.continueRunning(p)
	}
}

func (u *unit) continueRunning(p *tasktypes.Process) {
	_ = os.Remove(u.h.paths.marker(u.name))
	u.pid = int(p.Pid)
	if at, ok := startedAt(u.pid); ok {
		u.rec.started = at
	}
	u.state = u.runningState()
	u.watch()
}
