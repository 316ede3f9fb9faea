package containerd

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/typeurl/v2"
	"github.com/moby/sys/signal"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/containerd/tasklog"
)

const snapshotter = "overlayfs"

// snapshotPrefix marks root file systems of tasks, as opposed to layers of images.
const snapshotPrefix = "task-"

// createLimit bounds one start. It is far more than a start takes; what is not done by then will not be done.
const createLimit = 2 * time.Minute

// create makes the container of want and starts it. It does not stop half-way because we do: a start takes a blink, and
// what is complete need not be cleaned up.
func (u *unit) create(want host.Task, img *image) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.h.ctx), createLimit)
	defer cancel()
	u.h.sweeping.RLock()
	defer u.h.sweeping.RUnlock()
	u.stale = true
	spec, mounts, err := u.prepare(ctx, want, img)
	if err != nil {
		return err
	}
	if err := u.putContainer(ctx, want, img.name, spec); err != nil {
		return err
	}
	u.h.markAttempt(u.name, u.rec.attempt)
	if err := u.start(ctx, mounts); err != nil {
		return err
	}
	u.half = false
	_ = os.Remove(u.h.paths.marker(u.name)) // if it stays, a restarted node sees that the task runs all the same
	u.tell(u.runningState())
	return nil
}

// prepare makes everything that the container refers to.
func (u *unit) prepare(ctx context.Context, want host.Task, img *image) (*specs.Spec, []mount.Mount, error) {
	if err := u.chooseSignal(want, img); err != nil {
		return nil, nil, err
	}
	att, err := u.h.cfg.Network.Attach(ctx, u.name, u.rec.address)
	if err != nil {
		return nil, nil, fmt.Errorf("attach to network: %w", err)
	}
	u.rec.address = att.Address.Addr()
	if err := u.h.nameFiles(want, att); err != nil {
		return nil, nil, err
	}
	mounts, err := u.rootfs(ctx, img)
	if err != nil {
		return nil, nil, fmt.Errorf("make root file system: %w", err)
	}
	usr, err := findUser(ctx, want, img, mounts)
	if err != nil {
		return nil, nil, err
	}
	spec, err := buildSpec(specInput{
		task: want, image: img.config, user: usr, attachment: att,
		node: u.h.cfg.NodeName, instance: u.h.cfg.Instance, files: u.h.paths.taskFiles(u.name), maxFiles: maxFiles(),
	})
	return spec, mounts, err
}

// maxFiles is what Docker allows, or less if this process may not give as much.
func maxFiles() uint64 {
	const usual = 524288
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
		return 1024
	}
	return min(own.Max, usual)
}

// chooseSignal decides now which signal will stop the task, so that it is known after a restart without the image.
func (u *unit) chooseSignal(want host.Task, img *image) error {
	for _, s := range []string{want.Template.StopSignal, img.config.StopSignal} {
		if s == "" {
			continue
		}
		if _, err := signal.ParseSignal(s); err != nil {
			return fmt.Errorf("%w: stop signal %q is not known", errInvalid, s)
		}
		u.rec.signal = s
		return nil
	}
	return nil
}

// prepareFiles makes the folders of the task, before it has a container: a marker tells that there is none yet.
func (h *Host) prepareFiles(t host.Task) error {
	if err := os.MkdirAll(h.paths.taskLogs(t.Name), 0o755); err != nil {
		return fmt.Errorf("make log directory: %w", err)
	}
	if err := os.MkdirAll(h.paths.taskFiles(t.Name), 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if err := os.WriteFile(h.paths.marker(t.Name), nil, 0o600); err != nil {
		return fmt.Errorf("make marker: %w", err)
	}
	return nil
}

func (h *Host) nameFiles(t host.Task, att host.Attachment) error {
	name := hostname(t)
	short, _, _ := strings.Cut(name, ".")
	names := name
	if short != name {
		names += " " + short
	}
	hosts := "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n" +
		att.Address.Addr().String() + "\t" + names + "\n"
	dir := h.paths.taskFiles(t.Name)
	for file, text := range map[string]string{"hosts": hosts, "hostname": name + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write %s file: %w", file, err)
		}
	}
	return nil
}

func (u *unit) snapshotKey() string {
	return fmt.Sprintf("%s%s-%d-%d", snapshotPrefix, u.name, u.rec.uid, u.rec.attempt)
}

// rootfs makes a fresh writable layer on the image.
func (u *unit) rootfs(ctx context.Context, img *image) ([]mount.Mount, error) {
	s := u.h.client.SnapshotService(snapshotter)
	mounts, err := s.Prepare(ctx, u.snapshotKey(), img.chain, withRoot)
	if !errdefs.IsAlreadyExists(err) {
		return mounts, err
	}
	if err := s.Remove(ctx, u.snapshotKey()); err != nil {
		return nil, err
	}
	return s.Prepare(ctx, u.snapshotKey(), img.chain, withRoot)
}

func findUser(ctx context.Context, want host.Task, img *image, mounts []mount.Mount) (specs.User, error) {
	name := want.Template.User
	if name == "" {
		name = img.config.User
	}
	if usr, ok := plainUser(name); ok {
		return usr, nil
	}
	var found specs.User
	err := mount.WithReadonlyTempMount(ctx, mounts, func(root string) (err error) {
		found, err = lookUpUser(root, name)
		return err
	})
	return found, err
}

// putContainer writes the container's record. An earlier attempt's is changed in place, so that there is always one.
func (u *unit) putContainer(ctx context.Context, want host.Task, imageName string, spec *specs.Spec) error {
	data, err := typeurl.MarshalAny(spec)
	if err != nil {
		return fmt.Errorf("write specification: %w", err)
	}
	runc, err := typeurl.MarshalAny(&options.Options{BinaryName: u.h.programs.runc, Root: u.h.paths.runc})
	if err != nil {
		return fmt.Errorf("write runtime options: %w", err)
	}
	c := containers.Container{
		ID: u.name, Image: imageName, Labels: u.rec.labels(want.Labels), Spec: data,
		Snapshotter: snapshotter, SnapshotKey: u.snapshotKey(),
		Runtime: containers.RuntimeInfo{Name: u.h.programs.shim, Options: runc},
	}
	store := u.h.client.ContainerService()
	if old, err := store.Get(ctx, u.name); err == nil {
		if old.Runtime.Name == c.Runtime.Name {
			_, err := store.Update(ctx, c, "labels", "spec", "image", "snapshotkey")
			return wrap("change container", err)
		}
		if err := store.Delete(ctx, u.name); err != nil { // made by an earlier version of this program
			return fmt.Errorf("remove container of an earlier version: %w", err)
		}
	}
	_, err = store.Create(ctx, c)
	return wrap("make container", err)
}

// start makes the task's process and lets it run.
func (u *unit) start(ctx context.Context, mounts []mount.Mount) error {
	out := u.h.logURI(u.name)
	rootfs := make([]*types.Mount, 0, len(mounts))
	for _, m := range mounts {
		rootfs = append(rootfs, &types.Mount{Type: m.Type, Source: m.Source, Target: m.Target, Options: m.Options})
	}
	request := &tasks.CreateTaskRequest{ContainerID: u.name, Rootfs: rootfs, Stdout: out, Stderr: out}
	if err := u.createTask(ctx, request); err != nil {
		return startError(err)
	}
	u.watch()
	r, err := u.h.client.TaskService().Start(ctx, &tasks.StartRequest{ContainerID: u.name})
	if err != nil {
		u.exit = nil
		return startError(err)
	}
	u.pid = int(r.Pid)
	u.rec.started = time.Now()
	return nil
}

// createTask waits where containerd is still busy with removing an earlier task of that name, after its shim was killed.
func (u *unit) createTask(ctx context.Context, r *tasks.CreateTaskRequest) error {
	for tries := 1; ; tries++ {
		_, err := u.h.client.TaskService().Create(ctx, r)
		busy := errdefs.IsAlreadyExists(errgrpc.ToNative(err))
		if !busy || tries > 10 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(backoff(tries, 20*time.Millisecond, 2*time.Second)):
		}
	}
}

// startError tells a task that can never run from a start that failed.
func startError(err error) error {
	text := errgrpc.ToNative(err).Error()
	for _, never := range []string{
		"executable file not found", "no such file or directory", "permission denied", "is a directory", "exec format error",
	} {
		if strings.Contains(text, "exec: ") && strings.HasSuffix(text, never) || strings.HasSuffix(text, "exec format error") ||
			strings.HasSuffix(text, "executable file not found in $PATH") {
			_, short, _ := strings.Cut(text, "error during container init: ")
			return fmt.Errorf("%w: %s", errInvalid, cmp.Or(short, text))
		}
	}
	return fmt.Errorf("start container: %s", text)
}

func (h *Host) logURI(task string) string {
	q := url.Values{"max": {strconv.Itoa(tasklog.DefaultMax)}, "keep": {strconv.Itoa(tasklog.DefaultKeep)}}
	u := url.URL{Scheme: "warrenlog", Path: h.paths.taskLogs(task), RawQuery: q.Encode()}
	return u.String()
}

func (u *unit) runningState() host.State {
	s := u.rec.state(u.name, host.Running)
	s.PID = u.pid
	return s
}

// watch waits for the process to end.
func (u *unit) watch() {
	ended := make(chan exit, 1)
	u.exit = ended
	go func() {
		r, err := u.h.client.TaskService().Wait(u.h.ctx, &tasks.WaitRequest{ContainerID: u.name})
		if err != nil {
			ended <- exit{err: errgrpc.ToNative(err)}
			return
		}
		ended <- exit{code: int(r.ExitStatus), at: r.ExitedAt.AsTime()}
	}()
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
