package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// SocketName is the name of the API's socket below the run directory.
const SocketName = "warren.sock"

// Group may use the API where a group of this name exists; elsewhere only root may.
const Group = "warren"

// maxSocketPath is what Linux has room for in a socket's address.
const maxSocketPath = 107

// ErrInUse means that another warren runs with the same run directory.
var ErrInUse = errors.New("another warren is running with this run directory")

// ListenUnix makes the socket RUNDIR/warren.sock. What a killed warren left there is replaced; ErrInUse if one is running.
func ListenUnix(runDir string) (net.Listener, error) {
	l, err := listenUnix(runDir, Group)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", filepath.Join(runDir, SocketName), err)
	}
	return l, nil
}

func listenUnix(runDir, group string) (net.Listener, error) {
	path := filepath.Join(runDir, SocketName)
	if n := len(path); n > maxSocketPath {
		return nil, fmt.Errorf("the path has %d bytes, a socket's may have %d; choose a shorter run directory", n, maxSocketPath)
	}
	if err := os.MkdirAll(runDir, 0o755); err != nil {
		return nil, err
	}
	lock, err := lockSocket(path)
	if err != nil {
		return nil, err
	}
	l, err := bind(path, group)
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	return &socket{UnixListener: l, path: path, lock: lock}, nil
}

// lockSocket holds a lock that the kernel gives back however a process ends: whoever has it knows that a socket file that is
// there belongs to nobody. Connecting to find that out would race with another one that is just starting.
func lockSocket(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, ErrInUse
	}
	return nil, err
}

// bind makes the socket in a directory of its own and moves it to its place when its permissions are right, so that nobody
// can connect before that and there is no moment without a socket file.
func bind(path, group string) (*net.UnixListener, error) {
	private := filepath.Join(filepath.Dir(path), ".sock")
	if err := os.RemoveAll(private); err != nil {
		return nil, err
	}
	if err := os.Mkdir(private, 0o700); err != nil {
		return nil, err
	}
	defer os.RemoveAll(private)
	draft := filepath.Join(private, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: draft, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err = protect(draft, group); err == nil {
		err = os.Rename(draft, path)
	}
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// protect lets only the owner use the socket, and the group if there is one of this name.
func protect(path, group string) error {
	g, err := user.LookupGroup(group)
	if err != nil {
		return os.Chmod(path, 0o600)
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return fmt.Errorf("group %s has the id %q", group, g.Gid)
	}
	if err := os.Chown(path, -1, gid); errors.Is(err, fs.ErrPermission) {
		return os.Chmod(path, 0o600) // not root, and not a member: this node serves its own user only
	} else if err != nil {
		return err
	}
	return os.Chmod(path, 0o660)
}

// socket is the listener with its file and lock.
type socket struct {
	*net.UnixListener
	path string
	lock *os.File
	once sync.Once
}

// Addr implements net.Listener with the path where the socket is now.
func (s *socket) Addr() net.Addr { return &net.UnixAddr{Name: s.path, Net: "unix"} }

// Close implements net.Listener. The file goes while the lock is held, so that it cannot be a successor's.
func (s *socket) Close() error {
	err := net.ErrClosed
	s.once.Do(func() {
		err = s.UnixListener.Close()
		_ = os.Remove(s.path)
		_ = s.lock.Close()
	})
	return err
}

// ListenTLS listens on HOST:PORT for both protocols. What it demands of the other side is up to the configuration.
func ListenTLS(address string, c *tls.Config) (net.Listener, error) {
	if c == nil {
		return nil, fmt.Errorf("listen on %s: no certificate was given, and the API is never served in plain text", address)
	}
	c = c.Clone()
	c.MinVersion = tls.VersionTLS13
	c.NextProtos = []string{"h2", "http/1.1"}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err // says what and where by itself
	}
	return tls.NewListener(l, c), nil
}
