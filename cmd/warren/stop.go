package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host/containerd"
	"warren.io/warren/runtime/host/network"
	"warren.io/warren/runtime/server"
	"warren.io/warren/runtime/store/grpcstore"
)

var clusterKey = meta.Key{Kind: "Cluster", Name: v1.ClusterName}

func stopCommand() *cli.Command {
	return &cli.Command{Name: "stop", Usage: "stop the warren that runs on this machine; its tasks go on", Flags: append(dirFlags(),
		&cli.BoolFlag{Name: "tasks", Usage: "stop the tasks, too; they start again with warren"}),
		Action: func(c *cli.Context) error {
			_, run, err := dirs(c)
			if err != nil {
				return err
			}
			return stopNode(c.Context, run, c.Bool("tasks"))
		}}
}

// stopNode asks the node to stop and waits until it has.
func stopNode(ctx context.Context, runDir string, tasks bool) error {
	s, err := grpcstore.Dial("unix://"+filepath.Join(runDir, server.SocketName), grpcstore.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Stop(ctx, tasks); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return untilFree(ctx, filepath.Join(runDir, lockName))
}

// untilFree waits until a process has given back a lock: it does so last of all, however it ends.
func untilFree(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	defer f.Close()
	free := make(chan error, 1)
	go func() { free <- syscall.Flock(int(f.Fd()), syscall.LOCK_EX) }()
	select {
	case err := <-free:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func resetCommand() *cli.Command {
	return &cli.Command{Name: "reset", Usage: "remove every trace of this node: tasks, images, state, keys", Flags: append(dirFlags(),
		&cli.StringFlag{Name: "containerd", Usage: "the `SOCKET` that run was given"},
		&cli.BoolFlag{Name: "yes", Usage: "do not ask"}),
		Action: func(c *cli.Context) error {
			data, run, err := dirs(c)
			if err != nil {
				return err
			}
			if !c.Bool("yes") && !confirmed(data) {
				return fmt.Errorf("reset: not confirmed, nothing was removed; use --yes to do it without a question")
			}
			return resetNode(c.Context, data, run, c.String("containerd"))
		}}
}

func confirmed(data string) bool {
	fmt.Fprintf(os.Stderr, "This removes all tasks, images and state of the node in %s. Type yes to go on: ", data)
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	return err == nil && strings.TrimSpace(line) == "yes"
}

// resetNode removes containers and network first, then the folders they were found by: stopped half-way, it can be run again.
func resetNode(ctx context.Context, data, run, socket string) error {
	if err := checkNode(data, run); err != nil {
		return fmt.Errorf("reset: %w; nothing was removed", err)
	}
	lock, err := lockDir(data, 0o700)
	if errors.Is(err, errLocked) {
		return fmt.Errorf("reset: warren is running with %s; try: warren stop", data)
	}
	if err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	defer lock.Close()
	if err := removeTasks(ctx, data, run, socket); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	if err := errors.Join(removeContents(run, runMark), removeContents(data, identityName)); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	fmt.Fprintf(os.Stderr, "removed the node in %s\n", data)
	return nil
}

func removeTasks(ctx context.Context, data, run, socket string) error {
	log, err := newLog(os.Stderr, "text", "warn")
	if err != nil {
		return err
	}
	id, err := loadIdentity(data, "")
	if err != nil {
		log.Error(err, "identity cannot be read, going on without")
	}
	net, err := network.Open(network.Config{RunDir: run, Instance: containerd.InstanceOf(data), Log: log})
	if err != nil {
		return err
	}
	defer net.Close()
	h, err := containerd.Open(ctx, containerd.Config{DataDir: data, RunDir: run, Socket: socket, NodeName: id.Name, Cluster: id.Cluster,
		Network: net, Poke: func() {}, Log: log})
	if err != nil {
		return err
	}
	return errors.Join(h.Reset(ctx), net.Teardown(ctx))
}

// runMark is in every run directory that warren has used since the last reboot.
const runMark = server.SocketName + ".lock"

// checkNode refuses to empty folders that are not a node's: a mistyped flag must not cost anybody else's files.
func checkNode(data, run string) error {
	if _, err := os.Stat(filepath.Join(data, identityName)); err != nil {
		return fmt.Errorf("there is no node in %s (%w)", data, err)
	}
	entries, err := os.ReadDir(run)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil // as after a reboot
	}
	if err == nil {
		_, err = os.Stat(filepath.Join(run, runMark))
	}
	if err != nil {
		return fmt.Errorf("%s is no run directory of a node (%w)", run, err)
	}
	return nil
}

// removeContents empties a directory and then removes it, unless it is somebody's mount point. What it is known by goes last:
// after a kill in between it can be done again.
func removeContents(dir, mark string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.Name() != mark {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	if err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(dir, mark)); err != nil {
		return err
	}
	_ = os.Remove(dir) // stays where it is a mount point or somebody's working directory
	return nil
}
