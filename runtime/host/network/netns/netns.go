// Package netns makes, enters and removes network namespaces that are mounted on files, and never leaves a thread in the wrong one.
package netns

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// onThread runs f on a thread of its own that is thrown away afterwards, so that f may change the thread's namespace.
// The main thread is never used: it cannot end, and others look at it under /proc/PID/ns.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			defer runtime.UnlockOSThread()
			done <- onThread(f) // we hold the main thread, so this one gets another
			return
		}
		done <- f() // ending while locked ends the thread
	}()
	return <-done
}

// Open returns a netlink connection into the network namespace mounted at path. made says that it was made just now,
// because path was missing or an empty file (killed between making the file and mounting, or the machine was restarted).
func Open(path string) (h *netlink.Handle, made bool, err error) {
	if Is(path) {
		h, err = Enter(path)
		return h, false, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return nil, false, err
	}
	if err := f.Close(); err != nil {
		return nil, false, err
	}
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare network namespace: %w", err)
		}
		if err := unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount network namespace at %s: %w", path, err)
		}
		h, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	return h, true, err
}

// Enter opens a netlink connection in the namespace at path; the connection may be used from any thread.
func Enter(path string) (h *netlink.Handle, err error) {
	err = Do(path, func() error {
		h, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	return h, err
}

// Do runs f on a thread in the namespace mounted at path.
func Do(path string, f func() error) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open network namespace %s: %w", path, err)
	}
	defer unix.Close(fd)
	return onThread(func() error {
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", path, err)
		}
		return f()
	})
}

// Is says whether a namespace is mounted at path, not just a file left there.
func Is(path string) bool {
	var s unix.Statfs_t
	return unix.Statfs(path, &s) == nil && s.Type == unix.NSFS_MAGIC
}

// Remove unmounts path as often as something is mounted there, and deletes the file. Missing is fine.
func Remove(path string) error {
	for Is(path) {
		if err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
