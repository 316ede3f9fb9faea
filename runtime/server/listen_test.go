package server

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func mustListen(t *testing.T, dir, group string) net.Listener {
	t.Helper()
	l, err := listenUnix(dir, group)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestSocketIsPrivateWithoutTheGroup(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	l := mustListen(t, dir, "no-such-group")
	path := filepath.Join(dir, SocketName)
	if s, err := os.Stat(path); err != nil || s.Mode() != fs.ModeSocket|0o600 {
		t.Fatalf("mode %v, %v", s.Mode(), err)
	}
	if l.Addr().String() != path {
		t.Fatalf("address %s", l.Addr())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the socket is still there: %v", err)
	}
}

func TestSocketIsTheGroups(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may give a file to any group")
	}
	g, err := user.LookupGroup("daemon")
	if err != nil {
		t.Skip("no group daemon here")
	}
	dir := t.TempDir()
	mustListen(t, dir, "daemon")
	s, err := os.Stat(filepath.Join(dir, SocketName))
	if err != nil || s.Mode() != fs.ModeSocket|0o660 {
		t.Fatalf("mode %v, %v", s.Mode(), err)
	}
	if gid := s.Sys().(*syscall.Stat_t).Gid; strconv.Itoa(int(gid)) != g.Gid {
		t.Fatalf("group %d, want %s", gid, g.Gid)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, SocketName)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	_ = dead.Close()
	if err := os.MkdirAll(filepath.Join(dir, ".sock", "left"), 0o700); err != nil { // killed in the middle of a start
		t.Fatal(err)
	}
	l := mustListen(t, dir, "")
	go func() {
		if c, err := l.Accept(); err == nil {
			_ = c.Close()
		}
	}()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

func TestLiveSocketIsRefused(t *testing.T) {
	dir := t.TempDir()
	l := mustListen(t, dir, "")
	_, err := ListenUnix(dir)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("got %v", err)
	}
	if c, err := net.Dial("unix", filepath.Join(dir, SocketName)); err != nil {
		t.Fatalf("the refused one broke the socket: %v", err)
	} else {
		_ = c.Close()
	}
	_ = l.Close()
	mustListen(t, dir, "")
}

func TestSocketPathHasALimit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("x", 110))
	if _, err := ListenUnix(dir); err == nil || !strings.Contains(err.Error(), "shorter run directory") {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Fatal("the directory was made all the same")
	}
}

func TestListenTLSNeedsACertificate(t *testing.T) {
	if _, err := ListenTLS("127.0.0.1:0", nil); err == nil {
		t.Fatal("plain text was accepted")
	}
}
