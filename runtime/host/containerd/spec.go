package containerd

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
)

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// specInput is everything that a container's specification depends on.
type specInput struct {
	task       host.Task
	image      ocispec.ImageConfig
	user       specs.User
	attachment host.Attachment
	node       string
	instance   string
	files      string // the folder with this task's hosts and hostname
	maxFiles   uint64 // how many open files a process may ask for
}

// buildSpec writes the OCI specification of a task: containerd's defaults, which are Docker's, and what the task says.
func buildSpec(in specInput) (*specs.Spec, error) {
	args, err := arguments(in.task.Template, in.image)
	if err != nil {
		return nil, err
	}
	cwd, err := workingDir(in.task.Template, in.image)
	if err != nil {
		return nil, err
	}
	ctx := namespaces.WithNamespace(context.Background(), "warren")
	s, err := oci.GenerateSpec(ctx, nil, &containers.Container{ID: in.task.Name})
	if err != nil {
		return nil, fmt.Errorf("make default specification: %w", err)
	}
	s.Process.Args = args
	s.Process.Cwd = cwd
	s.Process.Env = environment(in)
	s.Process.User = in.user
	s.Process.OOMScoreAdj = new(oomScore(in.task.Template.Resources))
	s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: min(1024, in.maxFiles), Hard: in.maxFiles}}
	s.Root.Readonly = in.task.Template.ReadOnlyRootFilesystem
	s.Hostname = hostname(in.task)
	s.Annotations = annotations(in.task.Labels)
	s.Mounts = mounts(s.Mounts, in)
	linux(s.Linux, in)
	s.Linux.Seccomp = systemCalls(s)
	return s, nil
}

func linux(l *specs.Linux, in specInput) {
	l.CgroupsPath = cgroupPath(in.instance, in.task.Name)
	l.Namespaces = []specs.LinuxNamespace{
		{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace}, {Type: specs.MountNamespace},
		{Type: specs.CgroupNamespace}, {Type: specs.NetworkNamespace, Path: in.attachment.NetNS},
	}
	// In its own network namespace a process may use low ports and ping without being root.
	l.Sysctl = map[string]string{"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
	resources(l.Resources, in.task.Template.Resources)
}

// cpuPeriod in microseconds; a limit of 500m is a quota of 50000 in each.
const cpuPeriod = 100000

func resources(to *specs.LinuxResources, r v1.Resources) {
	limit, reserved := r.Limits, r.Reservations
	if limit.CPU > 0 || reserved.CPU > 0 {
		to.CPU = &specs.LinuxCPU{}
	}
	if limit.CPU > 0 {
		to.CPU.Period = new(uint64(cpuPeriod))
		to.CPU.Quota = new(max(int64(limit.CPU)*cpuPeriod/1000, 1000)) // the kernel takes no less than 1 ms
	}
	if reserved.CPU > 0 {
		to.CPU.Shares = new(uint64(max(int64(reserved.CPU)*1024/1000, 2)))
	}
	if limit.Memory > 0 || reserved.Memory > 0 {
		to.Memory = &specs.LinuxMemory{}
	}
	if limit.Memory > 0 {
		to.Memory.Limit = new(int64(limit.Memory))
		to.Memory.Swap = new(int64(limit.Memory)) // memory and swap together: no swap
	}
	if reserved.Memory > 0 {
		to.Memory.Reservation = new(int64(reserved.Memory))
	}
	if limit.Pids > 0 {
		to.Pids = &specs.LinuxPids{Limit: new(limit.Pids)}
	}
}

// oomScore makes tasks go before the node's own processes, and those that reserved no memory before those that did.
func oomScore(r v1.Resources) int {
	if r.Reservations.Memory > 0 {
		return 200
	}
	return 500
}

// arguments: a command replaces the image's entry point and drops its arguments; args replace only those.
func arguments(t v1.TaskTemplate, image ocispec.ImageConfig) ([]string, error) {
	command, args := t.Command, t.Args
	if len(command) == 0 {
		command = image.Entrypoint
		if len(args) == 0 {
			args = image.Cmd
		}
	}
	all := slices.Concat(command, args)
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: neither the task nor its image says what to run; set command", errInvalid)
	}
	return all, nil
}

func workingDir(t v1.TaskTemplate, image ocispec.ImageConfig) (string, error) {
	dir := t.WorkingDir
	if dir == "" {
		dir = image.WorkingDir
	}
	if dir == "" {
		return "/", nil
	}
	if !path.IsAbs(dir) {
		return "", fmt.Errorf("%w: workingDir %q is not absolute", errInvalid, dir)
	}
	return path.Clean(dir), nil
}

// environment is the image's, then ours, then the task's; later ones win.
func environment(in specInput) []string {
	env := []string{defaultPath}
	env = merge(env, in.image.Env...)
	env = merge(env, "HOSTNAME="+hostname(in.task), "WARREN_TASK="+in.task.Name,
		"WARREN_SERVICE="+in.task.Service, "WARREN_NODE="+in.node)
	for _, e := range in.task.Template.Env {
		env = merge(env, e.Name+"="+e.Value)
	}
	return env
}

func merge(env []string, add ...string) []string {
	for _, a := range add {
		name, _, _ := strings.Cut(a, "=")
		i := slices.IndexFunc(env, func(e string) bool { return strings.HasPrefix(e, name+"=") })
		if i < 0 {
			env = append(env, a)
		} else {
			env[i] = a
		}
	}
	return env
}

func hostname(t host.Task) string {
	if t.Template.Hostname != "" {
		return t.Template.Hostname
	}
	return t.Name
}

// annotations are the task's labels, but for two that would make containerd's shim share one process among tasks.
func annotations(labels map[string]string) map[string]string {
	a := maps.Clone(labels)
	delete(a, "io.containerd.runc.v2.group")
	delete(a, "io.kubernetes.cri.sandbox-id")
	return a
}

// mounts drops the default tmpfs on /run, which would hide what images have there, shows the task its own cgroup, and puts
// in the files that name hosts.
func mounts(defaults []specs.Mount, in specInput) []specs.Mount {
	m := slices.DeleteFunc(slices.Clone(defaults), func(m specs.Mount) bool { return m.Destination == "/run" })
	m = append(m, specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup",
		Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}})
	if in.attachment.ResolvConf != "" {
		m = append(m, bind(in.attachment.ResolvConf, "/etc/resolv.conf", "ro"))
	}
	access := "rw"
	if in.task.Template.ReadOnlyRootFilesystem {
		access = "ro"
	}
	return append(m, bind(path.Join(in.files, "hosts"), "/etc/hosts", access),
		bind(path.Join(in.files, "hostname"), "/etc/hostname", access))
}

func bind(from, to, access string) specs.Mount {
	return specs.Mount{Destination: to, Type: "bind", Source: from, Options: []string{"rbind", "rprivate", access}}
}

func cgroupPath(instance, task string) string { return "/warren-" + instance + "/" + task }
