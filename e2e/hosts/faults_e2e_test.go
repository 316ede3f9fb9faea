//go:build e2e

package hosts

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sends tells whether a datagram gets from one host to another.
func sends(t *testing.T, from, to *Host) bool {
	t.Helper()
	var l net.PacketConn
	err := to.Do(func() (err error) { l, err = net.ListenPacket("udp4", to.Address.Addr().String()+":0"); return err })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var c net.Conn
	if err := from.Do(func() (err error) { c, err = net.Dial("udp4", l.LocalAddr().String()); return err }); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 10 {
		_, _ = c.Write([]byte("hello")) // one that is refused is one that does not get there
		_ = l.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, _, err := l.ReadFrom(make([]byte, 10)); err == nil {
			return true
		}
	}
	return false
}

// acquainted makes both hosts know each other's hardware address, so that one way is enough for a datagram.
func acquainted(t *testing.T, x, y *Host) {
	t.Helper()
	if !sends(t, x, y) || !sends(t, y, x) {
		t.Fatal("the hosts do not hear each other")
	}
}

func TestOneWay(t *testing.T) {
	b := New(t)
	x, y, z := mustHost(t, b, "x"), mustHost(t, b, "y"), mustHost(t, b, "z")
	acquainted(t, x, y)
	for _, c := range []struct {
		fault     func() error
		out, back bool
	}{{x.Mute, false, true}, {x.Deafen, true, false}} {
		if err := c.fault(); err != nil {
			t.Fatal(err)
		}
		if out, in := sends(t, x, y), sends(t, y, x); out != c.out || in != c.back {
			t.Errorf("from x %t, to x %t; want %t and %t", out, in, c.out, c.back)
		}
		if reach(t, x, y) == nil || reach(t, y, x) == nil {
			t.Error("a connection needs both ways")
		}
		if err := reach(t, y, z); err != nil {
			t.Errorf("others: %v", err)
		}
		if err := x.Heal(); err != nil {
			t.Fatal(err)
		}
		acquainted(t, x, y)
	}
	if err := x.Mute(); err != nil {
		t.Fatal(err)
	}
	if err := x.Reboot(); err != nil {
		t.Fatal(err)
	}
	if err := reach(t, x, y); err != nil {
		t.Errorf("after a reboot: %v", err)
	}
	closeAndLook(t, b)
}

func TestMove(t *testing.T) {
	b := New(t)
	x, y := mustHost(t, b, "x"), mustHost(t, b, "y")
	acquainted(t, x, y)
	before := x.Address
	if err := x.Move(); err != nil {
		t.Fatal(err)
	}
	if x.Address == before {
		t.Fatal("it has the address that it had")
	}
	acquainted(t, x, y)
	if err := x.Reboot(); err != nil {
		t.Fatal(err)
	}
	acquainted(t, x, y)
	closeAndLook(t, b)
}

func TestPause(t *testing.T) {
	b := New(t)
	x := mustHost(t, b, "x")
	start(t, x.Command(t.Context(), "sleep", "1000"))
	if err := eventuallyRuns(x, 1); err != nil {
		t.Fatal(err)
	}
	state := func() string {
		all, err := x.Processes()
		if err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(all[0].PID), "stat"))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(data), ") ")
		return rest[:1]
	}
	if err := x.Pause(Other); err != nil || state() != "T" {
		t.Errorf("paused: %v, state %s", err, state())
	}
	if err := x.Resume(Other); err != nil || state() == "T" {
		t.Errorf("resumed: %v, state %s", err, state())
	}
	if x.Pause(Warren) == nil {
		t.Error("nothing was paused, and nobody says so")
	}
	if err := x.Pause(Other); err != nil {
		t.Error(err)
	}
	closeAndLook(t, b)
}

func processes(t *testing.T, h *Host) []Process {
	t.Helper()
	all, err := h.Processes()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// writes is how long a process of the host takes for a few writes that have to be on the disk.
func writes(t *testing.T, h *Host) time.Duration {
	t.Helper()
	began := time.Now()
	script := "read go; exec dd if=/dev/zero of=" + h.DataDir + "/x bs=4k count=10 oflag=dsync"
	cmd := h.Command(t.Context(), "sh", "-c", script)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for len(processes(t, h)) == 0 {
		time.Sleep(time.Millisecond)
	}
	if _, err := os.Stat(h.slowDir()); err == nil {
		if err := h.SlowDisk(10, Other); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = in.Write([]byte("go\n"))
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

func TestSlowDisk(t *testing.T) {
	if unix.Access(blkio+"/blkio.throttle.write_iops_device", unix.W_OK) != nil {
		t.Skip("this kernel has no limit of writes in cgroups of version 1")
	}
	b := New(t)
	x := mustHost(t, b, "x")
	fast := writes(t, x)
	if err := x.SlowDisk(10, Other); err != nil {
		t.Fatal(err)
	}
	slow := writes(t, x)
	t.Logf("ten writes: %v, with a slow disk %v", fast.Round(time.Millisecond), slow.Round(time.Millisecond))
	if slow < 500*time.Millisecond {
		t.Errorf("ten writes at ten a second took %v", slow)
	}
	if err := x.FastDisk(Other); err != nil {
		t.Error(err)
	}
	if err := x.SlowDisk(10, Other); err != nil {
		t.Fatal(err)
	}
	closeAndLook(t, b)
	if _, err := os.Stat(x.slowDir()); err == nil {
		t.Error("the cgroup of the slow disk is left")
	}
}
