// Package host is the only door to the machine. It declares what an agent may ask for; the folders below it do the work.
//
// Every interface here takes the whole desired state and returns at once; the work goes on inside the host, which calls its
// Poke function when an observation changed. Asking for the same state twice is free, so a caller may do so at any time.
package host

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"time"

	v1 "warren.io/warren/apis/v1"
)

// ErrNotReady is returned until the host has looked at the machine once: nobody may act on what it does not know yet.
var ErrNotReady = errors.New("host is still looking at what runs on this machine")

// ErrNotFound is returned for an image or log that this host does not have.
var ErrNotFound = errors.New("not found on this host")

// Tasks runs containers.
type Tasks interface {
	// Set replaces the whole desired state. A task that is not in want is stopped with its own signal and grace period and
	// then removed with all that belonged to it. A task with a higher Attempt than the one observed is started anew after
	// the exited one was cleaned up. A task whose (Name, UID, Attempt) is there already is left alone, running or exited.
	Set(ctx context.Context, want []Task) error
	// Observe returns what is there, sorted by name. It reads memory only. ErrNotReady before the first look at the machine.
	Observe(ctx context.Context) ([]State, error)
}

// Task is one container that shall be there. It is a plain value: two equal Tasks are the same wish.
type Task struct {
	Name    string // unique on this node, also the container's id
	UID     int64  // of the Task resource; another UID under the same name is another task
	Service string // for labels, logs and the default host name
	// Attempt counts starts of this task's process, from 1. Failures is the number of failed attempts in a row before this one.
	// Both are the caller's; the host keeps them with the container and gives them back in State.
	Attempt, Failures int

	Template    v1.TaskTemplate   // image, command, resources ... as the user wrote them
	ImageDigest string            // "sha256:..." pinned digest, or "" to resolve Template.Image here
	Labels      map[string]string // put on the container
}

// Phase is how far one attempt has come.
type Phase string

// Phases of an attempt, in their order. Stopping can follow any of the first four.
const (
	Pulling  Phase = "Pulling"  // the image is being fetched or unpacked; Message has progress or the last error
	Creating Phase = "Creating" // network, root file system and container are being made
	Running  Phase = "Running"
	Exited   Phase = "Exited"   // the process ended: ExitCode, OOMKilled
	Failed   Phase = "Failed"   // this attempt could not be started: Reason, Message
	Rejected Phase = "Rejected" // this task can never run on this host: Reason, Message
	Stopping Phase = "Stopping" // no longer wanted; its State vanishes when all of it is gone
)

// Reasons of a State that others act on.
const (
	ReasonImagePull        = "ImagePull"        // the image cannot be fetched; the host goes on trying with backoff
	ReasonPlatformMismatch = "PlatformMismatch" // the image has no variant for this machine; Platforms says which it has
	ReasonInvalidSpec      = "InvalidSpec"      // e.g. unknown user, command not found, working directory missing
	ReasonStartFailed      = "StartFailed"      // anything else before the process ran
	ReasonOOMKilled        = "OOMKilled"
	ReasonExited           = "Exited"
	ReasonLost             = "Lost" // the container vanished or the machine was restarted under it
)

// State is what a host sees of one task.
type State struct {
	Name              string
	UID               int64
	Attempt, Failures int
	Phase             Phase
	Reason, Message   string
	ImageDigest       string   // what Template.Image resolved to, "" while unknown
	Platforms         []string // of the image, e.g. "linux/amd64", "linux/arm64"; nil while unknown
	Address           netip.Addr
	PID               int // of the task's first process in the host's pid namespace; 0 unless Running
	StartedAt         time.Time
	ExitedAt          time.Time
	ExitCode          int
	OOMKilled         bool
	RetryAt           time.Time // of the next pull attempt, zero unless backing off
}

// Machine knows what this node is.
type Machine interface{ Facts() Facts }

// Facts are what a node says about itself.
type Facts struct {
	OS, Arch                  string // as Go names them
	Hostname, Kernel, Version string
	Capacity                  v1.ResourceList
}

// Network gives tasks their own network namespace and an address.
type Network interface {
	// Configure brings up the bridge, its address (the first of the subnet), forwarding and outbound NAT. Idempotent, repairs
	// what is missing, keeps attachments. A changed subnet is refused while attachments exist.
	Configure(ctx context.Context, c NetworkConfig) error
	// Attach makes the namespace for id, or returns the one that is there. want is tried first if valid and free.
	Attach(ctx context.Context, id string, want netip.Addr) (Attachment, error)
	// Detach removes namespace, link and address of id. Removing what is not there is no error.
	Detach(ctx context.Context, id string) error
	// List returns the ids of all attachments found on the machine, sorted, also half-made ones.
	List(ctx context.Context) ([]string, error)
}

// NetworkConfig is a node's part of the task network.
type NetworkConfig struct {
	Subnet netip.Prefix // e.g. 10.0.1.0/24
	MTU    int          // of the bridge and the tasks' links; 0 means 1500
}

// Attachment is one task's place in the network.
type Attachment struct {
	ID         string
	NetNS      string // path of the network namespace, for the OCI spec
	Address    netip.Prefix
	Gateway    netip.Addr
	ResolvConf string // path of the file to mount read-only at /etc/resolv.conf
}

// Images is the node's image store.
type Images interface {
	// Import reads an OCI or docker archive (plain, gzip or zstd tar) and returns the images it added.
	Import(ctx context.Context, r io.Reader, o ImportOptions) ([]Image, error)
	List(ctx context.Context) ([]Image, error)
	// Remove deletes an image by name or digest. An image that a container uses is refused.
	Remove(ctx context.Context, ref string) error
	// Pin keeps an image, by name or digest, from being collected for lack of space, or allows that again.
	Pin(ctx context.Context, ref string, pinned bool) error
}

// ImportOptions say what becomes of imported images.
type ImportOptions struct {
	Pin bool // never collect them for lack of space
	// Archive, if not empty, tells apart the file that is imported, as its name, size and time do. It is remembered with the
	// images after all of them were imported.
	Archive Archive
}

// Archive is a file with images: its name, and what changes when the file does.
type Archive struct{ Name, Version string }

// Keeper is told which images are needed on this machine.
type Keeper interface {
	// Protect replaces the set of images that must not be collected for lack of space: digests, and names as people write
	// them. Until it was called the first time nothing is collected. Asking for the same set twice is free.
	Protect(ctx context.Context, images []string) error
}

// Remark is something that people should hear about this machine.
type Remark struct {
	Warning         bool
	Reason, Message string
}

// Reasons of remarks.
const (
	ReasonImagesRemoved = "ImagesRemoved" // for lack of space
	ReasonDiskFull      = "DiskFull"      // and no image can be removed
	ReasonImageDamaged  = "ImageDamaged"
	ReasonImageRepaired = "ImageRepaired"
)

// Image is one named image on this node.
type Image struct {
	Name      string    `json:"name"`
	Digest    string    `json:"digest"`
	Size      int64     `json:"size"` // bytes of content on this node
	Platforms []string  `json:"platforms"`
	Created   time.Time `json:"created"`
	Pinned    bool      `json:"pinned,omitempty"` // never collected for lack of space
	// Status is empty while the image is complete, else what is the matter with it.
	Status string `json:"status,omitempty"`
}

// LogOptions choose what of a task's log is read.
type LogOptions struct {
	Follow bool
	Tail   int       // last n lines; < 0 means all
	Since  time.Time // zero means from the beginning
	// Previous chooses the attempt before the latest one instead of all attempts. It cannot be followed.
	Previous bool
}

// Notice is the Stream of a line that no task wrote, but that tells about its log.
const Notice = "notice"

// LogLine is one line that a task wrote.
type LogLine struct {
	Time   time.Time
	Stream string // "stdout", "stderr" or Notice
	Text   string // without the newline
}

// Logs reads what tasks wrote.
type Logs interface {
	// Read calls emit for each line, oldest first, until the end or, with Follow, until ctx ends or the task was removed.
	Read(ctx context.Context, task string, o LogOptions, emit func(LogLine) error) error
}
