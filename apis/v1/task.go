package v1

import (
	"time"

	"warren.io/warren/apis/meta"
)

// Task is one container of a service on one node. Its spec never changes but for the node.
type Task = meta.Resource[TaskSpec, TaskStatus]

// TaskSpec is written by the reconciler; Node by the scheduler.
type TaskSpec struct {
	// Service is the name of the service that the task belongs to.
	Service string `json:"service"`
	// Slot is the stable place in a replicated service, from 1; 0 in a global one.
	Slot int `json:"slot,omitempty"`
	// OnlyNode ties the task of a global service to its node.
	OnlyNode string `json:"onlyNode,omitempty"`
	// TemplateHash tells tasks of different templates apart.
	TemplateHash string `json:"templateHash"`
	TaskTemplate
	// ImageDigest pins what image means; empty in the first task of a template, which finds it out.
	ImageDigest string `json:"imageDigest,omitempty"`
	// Platforms are those that the image has, e.g. linux/amd64; empty while unknown.
	Platforms []string `json:"platforms,omitempty"`
	// Node is where the task runs; empty until scheduled.
	Node string `json:"node,omitempty"`
}

// TaskPhase moves forward only.
type TaskPhase string

// The phases of a task. Restarts in place stay Running.
const (
	TaskPending   TaskPhase = "Pending"
	TaskPreparing TaskPhase = "Preparing" // fetching the image
	TaskStarting  TaskPhase = "Starting"
	TaskRunning   TaskPhase = "Running"
	TaskComplete  TaskPhase = "Complete" // ended as its restart policy allows
	TaskFailed    TaskPhase = "Failed"   // given up
	TaskRejected  TaskPhase = "Rejected" // can never run on its node
)

// Terminal tells whether a task in this phase will never run again.
func (p TaskPhase) Terminal() bool {
	return p == TaskComplete || p == TaskFailed || p == TaskRejected
}

// TaskStatus is written by the agent; Pending by the scheduler.
type TaskStatus struct {
	// Phase is how far the task has come; it moves forward only.
	Phase TaskPhase `json:"phase,omitempty"`
	// Ready tells whether the process runs now.
	Ready bool `json:"ready"`
	// Restarts counts starts after the first; Failures those that failed in a row.
	Restarts int `json:"restarts"`
	Failures int `json:"failures,omitempty"`
	// Reason is one word for why it is not ready, Message a sentence about it.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Pending says why no node was chosen yet: one entry per cause.
	Pending []PendingReason `json:"pending,omitempty"`

	// ImageDigest is the content that runs, Platforms are those that the image is made for.
	ImageDigest string   `json:"imageDigest,omitempty"`
	Platforms   []string `json:"platforms,omitempty"`
	// Address is where the task is reached on its node.
	Address string `json:"address,omitempty"`
	// PID is that of its first process, as the node counts.
	PID int `json:"pid,omitempty"`
	// StartedAt is when the last process began, FinishedAt when one ended last.
	StartedAt  time.Time `json:"startedAt,omitzero"`
	FinishedAt time.Time `json:"finishedAt,omitzero"`
	// ExitCode and ExitReason are those of the last process that ended.
	ExitCode   *int   `json:"exitCode,omitempty"`
	ExitReason string `json:"exitReason,omitempty"`
}

// PendingReason is one cause, for a number of nodes: {memory, 2, "2 nodes lack memory"}.
type PendingReason struct {
	// Cause is one word, Nodes for how many nodes it holds, Message the sentence for people.
	Cause   string `json:"cause"`
	Nodes   int    `json:"nodes"`
	Message string `json:"message"`
}

// Reasons in a task's status beside those of the host.
const (
	ReasonCrashLoop   = "CrashLoop"   // failed several times in a row, waiting before the next start
	ReasonMaxAttempts = "MaxAttempts" // failed as often as the restart policy allows
	ReasonStopping    = "Stopping"    // being deleted

	// ReasonPlatformMismatch is the host's: the image has no variant for the machine.
	ReasonPlatformMismatch = "PlatformMismatch"
)

// Kind implements meta.Spec.
func (*TaskSpec) Kind() string { return "Task" }

// Default implements meta.Spec.
func (s *TaskSpec) Default() { s.TaskTemplate.Default() }

// Validate implements meta.Spec.
func (s *TaskSpec) Validate(p *meta.Problems, at string) {
	s.TaskTemplate.Validate(p, at)
	if s.Service == "" {
		p.Add(at+".service", "is required")
	}
}
