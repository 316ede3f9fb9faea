package main

import (
	"context"

	"github.com/containerd/containerd/api/events"
	taskapi "github.com/containerd/containerd/api/runtime/task/v3"
	tasktypes "github.com/containerd/containerd/api/types/task"
	coreevents "github.com/containerd/containerd/v2/core/events"
	"github.com/containerd/containerd/v2/pkg/shim"
	"github.com/containerd/ttrpc"
)

// service is the runc task service, but it keeps the task's output itself and tells nobody that the task has ended before
// the last line of it is in the log.
type service struct {
	taskapi.TTRPCTaskService
	out *output
}

// RegisterTTRPC makes this the service that containerd speaks to.
func (s *service) RegisterTTRPC(server *ttrpc.Server) error {
	taskapi.RegisterTTRPCTaskService(server, s)
	return nil
}

// Create takes over stdout and stderr when they name a log of ours.
func (s *service) Create(ctx context.Context, r *taskapi.CreateTaskRequest) (*taskapi.CreateTaskResponse, error) {
	if !isLog(r.Stdout) || r.Terminal {
		return s.TTRPCTaskService.Create(ctx, r)
	}
	if err := s.out.prepare(r.Stdout); err != nil {
		return nil, err
	}
	r.Stdout, r.Stderr = "", ""
	answer, err := s.TTRPCTaskService.Create(ctx, r)
	s.out.started()
	return answer, err
}

// Pids names the task's first process also when that has ended, until the task is deleted: containerd, when it starts, takes
// a shim without processes for one that was left behind, and removes it with all that it knows of how the task ended.
func (s *service) Pids(ctx context.Context, r *taskapi.PidsRequest) (*taskapi.PidsResponse, error) {
	answer, err := s.TTRPCTaskService.Pids(ctx, r)
	if err != nil || len(answer.Processes) > 0 {
		return answer, err
	}
	if is, err := s.State(ctx, &taskapi.StateRequest{ID: r.ID}); err == nil && is.Status == tasktypes.Status_STOPPED {
		answer.Processes = append(answer.Processes, &tasktypes.ProcessInfo{Pid: is.Pid})
	}
	return answer, nil
}

func (s *service) Wait(ctx context.Context, r *taskapi.WaitRequest) (*taskapi.WaitResponse, error) {
	answer, err := s.TTRPCTaskService.Wait(ctx, r)
	if err == nil && r.ExecID == "" {
		s.out.drain()
	}
	return answer, err
}

func (s *service) Delete(ctx context.Context, r *taskapi.DeleteRequest) (*taskapi.DeleteResponse, error) {
	answer, err := s.TTRPCTaskService.Delete(ctx, r)
	if err == nil && r.ExecID == "" {
		s.out.drain()
	}
	return answer, err
}

// publisher holds the exit event back until the output is complete.
type publisher struct {
	shim.Publisher
	out *output
}

func (p *publisher) Publish(ctx context.Context, topic string, event coreevents.Event) error {
	if exit, ok := event.(*events.TaskExit); ok && exit.ID == exit.ContainerID {
		p.out.drain()
	}
	return p.Publisher.Publish(ctx, topic, event)
}
