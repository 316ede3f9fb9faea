package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"
)

// plain starts the same image on the node's own containerd, with its own shim and runc, through containerd's socket: no
// network, no log, no store. It is what any orchestrator on containerd pays at least.
type plain struct {
	client  *client.Client
	image   client.Image
	runtime client.NewContainerOpts
	cgroup  string
}

func newPlain(ctx context.Context, n *node, archive string) (*plain, error) {
	shims, _ := filepath.Glob(filepath.Join(n.host.DataDir, "bin", "*", "*shim*"))
	if len(shims) != 1 {
		return nil, fmt.Errorf("find the node's shim: %v", shims)
	}
	c, err := client.New(filepath.Join(n.host.RunDir, "containerd", "containerd.sock"), client.WithDefaultNamespace("bench"))
	if err != nil {
		return nil, err
	}
	f, err := os.Open(archive)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	images, err := c.Import(scoped(ctx), f)
	if err != nil {
		return nil, err
	}
	p := &plain{client: c, image: client.NewImage(c, images[0]), cgroup: "/warren-" + n.host.Instance + "/plain-",
		runtime: client.WithRuntime(shims[0], &options.Options{BinaryName: filepath.Join(filepath.Dir(shims[0]), "runc"), Root: filepath.Join(n.host.RunDir, "runc")})}
	return p, p.image.Unpack(scoped(ctx), "overlayfs")
}

func scoped(ctx context.Context) context.Context { return namespaces.WithNamespace(ctx, "bench") }

// run starts a container, says how long that took, and removes it.
func (p *plain) run(ctx context.Context, id string, more ...oci.SpecOpts) (time.Duration, error) {
	took, remove, err := p.start(ctx, id, more...)
	if err != nil {
		return 0, err
	}
	return took, remove()
}

func (p *plain) start(ctx context.Context, id string, more ...oci.SpecOpts) (took time.Duration, remove func() error, err error) {
	ctx = scoped(ctx)
	spec := append([]oci.SpecOpts{oci.WithImageConfig(p.image), oci.WithCgroup(p.cgroup + id)}, more...)
	began := time.Now()
	c, err := p.client.NewContainer(ctx, id, client.WithImage(p.image), client.WithSnapshotter("overlayfs"),
		client.WithNewSnapshot(id, p.image), client.WithNewSpec(spec...), p.runtime)
	if err != nil {
		return 0, nil, err
	}
	t, err := c.NewTask(ctx, cio.NullIO)
	if err != nil {
		return 0, nil, err
	}
	if err := t.Start(ctx); err != nil {
		return 0, nil, err
	}
	took = time.Since(began)
	return took, func() error { return removePlain(context.WithoutCancel(ctx), c, t) }, nil
}

func removePlain(ctx context.Context, c client.Container, t client.Task) error {
	exit, err := t.Wait(ctx)
	if err != nil {
		return err
	}
	if err := t.Kill(ctx, syscall.SIGKILL); err != nil {
		return err
	}
	<-exit
	if _, err := t.Delete(ctx); err != nil {
		return err
	}
	return c.Delete(ctx, client.WithSnapshotCleanup)
}
