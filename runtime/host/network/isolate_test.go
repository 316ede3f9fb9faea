//go:build e2e

package network

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/network/netns"
)

const insideEnv = "WARREN_TEST_ISOLATED"

// isolated runs body in a process of its own with a fresh network and mount namespace: nothing that it makes can stay behind.
func isolated(t *testing.T, body func(t *testing.T)) {
	t.Helper()
	if os.Getenv(insideEnv) == t.Name() {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		body(t)
		return
	}
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root: network namespaces cannot be made")
		}
		t.Skip("needs root: network namespaces cannot be made")
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), insideEnv+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	t.Logf("in a fresh namespace:\n%s", out)
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("failed inside: %v", err)
	}
}

var testSubnet = netip.MustParsePrefix("10.0.1.0/24")

// runDir is a run directory whose mounts are gone before it is deleted.
func runDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() {
		for _, m := range mountsBelow(t, dir) {
			if err := unix.Unmount(m, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		}
	})
	return dir
}

// newNetwork opens and configures a network in the current namespace.
func newNetwork(t *testing.T, run string) *Network {
	t.Helper()
	n := openNetwork(t, run)
	if err := n.Configure(t.Context(), host.NetworkConfig{Subnet: testSubnet, MTU: 1420}); err != nil {
		t.Fatal(err)
	}
	return n
}

// openNetwork is what a restarted process does first.
func openNetwork(t *testing.T, run string) *Network {
	t.Helper()
	resolv := filepath.Join(run, "host-resolv.conf")
	if err := os.WriteFile(resolv, []byte("nameserver 127.0.0.53\nnameserver 192.0.2.53\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	n, err := Open(Config{RunDir: run, Instance: "0a1b2c3d", HostResolvConf: resolv})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

func mustAttach(t *testing.T, n *Network, id string) host.Attachment {
	t.Helper()
	a, err := n.Attach(t.Context(), id, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// serve answers every connection, in the namespace at path ("" for the current one), with the address it came from.
func serve(t *testing.T, path, address string) {
	t.Helper()
	var l net.Listener
	err := in(path, func() (err error) { l, err = net.Listen("tcp4", address); return err })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, c.RemoteAddr().(*net.TCPAddr).IP)
			c.Close()
		}
	}()
}

// ask connects from the namespace at path and returns what the server saw as the source address.
func ask(t *testing.T, path, address string) string {
	t.Helper()
	buf := make([]byte, 64)
	got := 0
	err := in(path, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5e9)
		defer cancel()
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp4", address)
		if err != nil {
			return err
		}
		defer c.Close()
		got, err = c.Read(buf)
		return err
	})
	if err != nil {
		t.Fatalf("from %s to %s: %v", path, address, err)
	}
	return string(buf[:got])
}

func in(path string, f func() error) error {
	if path == "" {
		return f()
	}
	return netns.Do(path, f)
}

// linkNames lists the links of the current namespace.
func linkNames(t *testing.T) []string {
	t.Helper()
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	links, err := listLinks(h)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range links {
		names = append(names, l.Attrs().Name)
	}
	return names
}

// mountsBelow lists the mount points below dir.
func mountsBelow(t *testing.T, dir string) []string {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir) {
			out = append(out, f[4])
		}
	}
	return out
}

// assertNothingLeft checks that no attachment left a trace.
func assertNothingLeft(t *testing.T, n *Network, run string) {
	t.Helper()
	for _, name := range linkNames(t) {
		if strings.HasPrefix(name, linkPrefix) {
			t.Errorf("link %s is left", name)
		}
	}
	if m := mountsBelow(t, run); len(m) != 0 {
		t.Errorf("mounts are left: %v", m)
	}
	if entries, _ := os.ReadDir(filepath.Join(run, "netns")); len(entries) != 0 {
		t.Errorf("files are left: %v", entries)
	}
	if ids, err := n.List(t.Context()); err != nil || len(ids) != 0 {
		t.Errorf("List: %v %v", ids, err)
	}
}
