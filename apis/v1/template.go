package v1

import (
	"warren.io/warren/apis/meta"
)

// TaskTemplate is what one container is to be. A Service carries one, each of its tasks a copy.
type TaskTemplate struct {
	// Image is a reference like registry.example.org/web:1.2 or web@sha256:...
	Image string `json:"image"`
	// Command replaces the image's entry point, Args its command.
	Command []string `json:"command,omitempty"`
	Args    []string `json:"args,omitempty"`
	// Env is added to the image's environment. Written as a map, or as a list of NAME=value or {name, value}.
	Env Env `json:"env,omitempty"`
	// WorkingDir is where the process starts; an absolute path. Default: the image's.
	WorkingDir string `json:"workingDir,omitempty"`
	// User is "user", "uid", "user:group" or "uid:gid"; names are looked up in the image.
	User string `json:"user,omitempty"`
	// Hostname is the name inside the container. Default: the task's name.
	Hostname string `json:"hostname,omitempty"`
	// Resources are the container's limits and what is kept free for it.
	Resources Resources `json:"resources,omitzero"`
	// Restart says what happens when the process ends.
	Restart Restart `json:"restart,omitzero"`
	// StopSignal asks the process to end, e.g. SIGTERM. Default: the image's, else SIGTERM.
	StopSignal string `json:"stopSignal,omitempty"`
	// StopGracePeriod is how long it may take before it is killed. Default 10s.
	StopGracePeriod *meta.Duration `json:"stopGracePeriod,omitempty"`
	// ReadOnlyRootFilesystem lets the container write nothing but to /dev, /proc and what is mounted into it.
	ReadOnlyRootFilesystem bool `json:"readOnlyRootFilesystem,omitempty"`
	// Labels are put on the tasks and their containers.
	Labels map[string]string `json:"labels,omitempty"`
}

// Resources are a container's upper limits and what is kept free for it.
type Resources struct {
	// Limits are enforced by cgroups. Zero means none.
	Limits ResourceList `json:"limits,omitzero"`
	// Reservations are what the scheduler counts and, for CPU, the weight under contention.
	Reservations ResourceList `json:"reservations,omitzero"`
}

// ResourceList is an amount of each resource; zero means not set.
type ResourceList struct {
	// CPU is processor time: cores like 2 or 0.5, or thousandths of a core like 500m.
	CPU meta.CPU `json:"cpu,omitempty"`
	// Memory is a number of bytes like 64Mi, 1Gi or 500k.
	Memory meta.Bytes `json:"memory,omitempty"`
	// Pids is a number of processes and threads.
	Pids int64 `json:"pids,omitempty"`
}

// RestartPolicy says when a process that ended is started again.
type RestartPolicy string

// The restart policies.
const (
	RestartAlways    RestartPolicy = "Always"
	RestartOnFailure RestartPolicy = "OnFailure"
	RestartNever     RestartPolicy = "Never"
)

// Restart says how a process that ended is started again on the same node.
type Restart struct {
	// Policy: Always, OnFailure (exit code other than 0) or Never. Default Always.
	Policy RestartPolicy `json:"policy,omitempty"`
	// Delay before the first restart; doubled for each failure in a row up to MaxDelay. Defaults 1s and 1m.
	Delay    *meta.Duration `json:"delay,omitempty"`
	MaxDelay *meta.Duration `json:"maxDelay,omitempty"`
	// MaxAttempts is how many restarts in a row may fail before the task is given up. 0: any number.
	MaxAttempts int `json:"maxAttempts,omitempty"`
	// Window is how long a process must have run to count as healthy, which ends the row of failures. Default 10s.
	Window *meta.Duration `json:"window,omitempty"`
}

// EnvVar is one environment variable.
type EnvVar struct {
	// Name and Value are those of the variable.
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Env is a list of variables with unique names, in the order written (by name where written as a map).
type Env []EnvVar
