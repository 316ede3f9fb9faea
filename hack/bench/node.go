package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/e2e/hosts"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

const (
	imageName = "warren.io/hello:1"
	patience  = time.Minute // for anything that a node does
)

// node is a warren on a host of its own.
type node struct {
	*grpcstore.Store
	host   *hosts.Host
	pid    int
	booted time.Duration // from the start of the process until it is ready
	ended  chan struct{}
}

// with runs f on fresh nodes of these names, with the image imported, and removes them afterwards.
func (b *bench) with(ctx context.Context, f func(...*node) error, names ...string) (err error) {
	bed, err := hosts.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bed.Close()) }()
	var nodes []*node
	for _, name := range names {
		n, err := b.start(ctx, bed, name)
		if err != nil {
			return fmt.Errorf("start node %s: %w", name, err)
		}
		defer n.stop()
		nodes = append(nodes, n)
	}
	return f(nodes...)
}

// start makes a node that manages itself.
func (b *bench) start(ctx context.Context, bed *hosts.Bench, name string) (*node, error) {
	h, err := bed.Host(name)
	if err != nil {
		return nil, err
	}
	return b.launch(ctx, h, "run", "--node-name", name)
}

// launch runs a copy of the binary: memory that is shared with others' processes of the same file would count by halves.
func (b *bench) launch(ctx context.Context, h *hosts.Host, args ...string) (n *node, err error) {
	dir := filepath.Dir(h.DataDir)
	program := filepath.Join(dir, "warren")
	if err := copyFile(b.warren, program); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := h.Command(context.WithoutCancel(ctx), program, append(args, "--data-dir", h.DataDir, "--run-dir", h.RunDir)...)
	cmd.Stdout, cmd.Stderr = log, log
	n = &node{host: h, ended: make(chan struct{})}
	if n.Store, err = grpcstore.Dial("unix://"+filepath.Join(h.RunDir, "warren.sock"), grpcstore.Options{}); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	n.pid = cmd.Process.Pid
	go func() { defer close(n.ended); _ = cmd.Wait() }()
	if err := n.ready(ctx); err != nil {
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("%w\n%s", errors.Join(err, n.stop()), text)
	}
	n.booted = time.Since(began)
	return n, n.load(ctx, b.image)
}

// ready waits until the node takes tasks.
func (n *node) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	key := meta.Key{Kind: "Node", Name: n.host.Name}
	for {
		o, err := n.Get(ctx, key)
		if node, ok := o.(*v1.Node); err == nil && ok && node.Status.State == v1.NodeReady {
			return nil
		}
		select {
		case <-n.ended:
			return errors.New("it has ended")
		case <-ctx.Done():
			return fmt.Errorf("wait until it is ready: %w", errors.Join(ctx.Err(), err))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// load imports the image, as soon as the containers of a worker are up.
func (n *node) load(ctx context.Context, image string) error {
	for deadline := time.Now().Add(patience); ; pause(ctx, 20*time.Millisecond) {
		err := n.loadNow(ctx, image)
		if err == nil || !errors.Is(err, store.ErrUnavailable) || time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
	}
}

func (n *node) loadNow(ctx context.Context, image string) error {
	f, err := os.Open(image)
	if err != nil {
		return fmt.Errorf("import image: %w; try: make hello", err)
	}
	defer f.Close()
	_, err = n.ImportImage(ctx, f, host.ImportOptions{})
	return err
}

func (n *node) stop() error {
	if p, err := os.FindProcess(n.pid); err == nil {
		_ = p.Signal(syscall.SIGTERM)
	}
	select {
	case <-n.ended:
	case <-time.After(patience):
	}
	return errors.Join(n.Close(), n.host.Kill())
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("%w; try: make build", err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// service runs the image so many times.
func service(name string, replicas int) *v1.Service {
	s := meta.New[v1.Service](name)
	s.Spec.Image, s.Spec.Replicas = imageName, &replicas
	return s
}

func (n *node) create(ctx context.Context, s *v1.Service) error {
	_, err := n.Commit(ctx, store.CreateOp(s))
	return err
}

// remove deletes services and waits until all of them is gone.
func (n *node) remove(ctx context.Context, names ...string) error {
	w, err := n.watch(ctx)
	if err != nil {
		return err
	}
	defer w.end()
	for _, name := range names {
		if _, err := n.Commit(ctx, store.Op{Verb: store.Delete, Key: meta.Key{Kind: "Service", Name: name}, Guard: store.Any}); err != nil {
			return err
		}
	}
	return w.until(func(v view) bool { return len(v.services) == 0 && len(v.tasks) == 0 })
}

func output(cmd *exec.Cmd) (string, error) {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", cmd.Args[0], err, out)
	}
	return string(out), nil
}
