// Package hosts is the test bench: it makes hosts on this machine, each a network namespace with its own address, data and run
// directory, joined by a switch. Real nodes run in them as ordinary processes; everything else (kernel, CPU, disk, cgroup tree,
// /etc, mount table) is shared.
//
//	b := hosts.New(t)              // skips without root, fails without root where CI=true; cleans up when the test ends
//	h := b.Host("a")               // 198.51.100.11 in namespace wh-RAND-a, directories below /tmp/w-RAND/a
//	h.Command(ctx, warren, "run", "--data-dir", h.DataDir, "--run-dir", h.RunDir).Start()
//	h.Kill(hosts.Warren)           // kill -9 of what kind you like, or of everything
//	h.Orphans(t, "web-1-1")        // what is left on the machine and belongs to no task of these
//	h.Reboot()                     // power off and on: only the data directory is left
//	h.Cut(), h.Mute(), h.Deafen()  // off the network, both ways or one way, until h.Heal()
//	h.Move(), h.Pause(hosts.Warren), h.SlowDisk(20, hosts.Warren)
//
// A test that dies without cleaning up leaves its bench behind; the next bench on the machine removes it.
package hosts

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"warren.io/warren/runtime/host/network/netns"
)

const (
	benchPrefix = "/tmp/w-"        // of a bench's directory
	nsPrefix    = "/run/netns/wh-" // of its namespaces, where `ip netns` sees them
	switchName  = "switch"         // the namespace of the switch, and the bridge in it
	lockName    = "lock"           // held for as long as the process of the bench lives
	subnetBits  = 24               // of the network that the hosts are joined by
	firstHost   = 11               // last byte of the first host's address
	gatewayAddr = "198.51.100.1"   // the switch's own address, the hosts' default route; nothing is behind it
	lastMoved   = 255              // addresses of hosts that moved are below, the first at the top
	maxHosts    = 200 - firstHost
)

var hostName = regexp.MustCompile(`^[a-z][a-z0-9]{0,7}$`) // short: unix socket paths and link names are

// Bench is a switch and the hosts on it. Its methods are for one goroutine; those of different hosts may run at once.
type Bench struct {
	ID    string // in every name that the bench gives
	dir   string
	lock  *os.File
	hosts []*Host
	moves int // addresses that were given anew
}

// New makes a bench that ends with the test.
func New(t testing.TB) *Bench {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root to make network namespaces")
		}
		t.Skip("needs root to make network namespaces")
	}
	b, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("clean up the test bench: %v", err)
		}
	})
	return b
}

// Open makes a bench that the caller closes. It first removes the benches of dead processes.
func Open() (*Bench, error) {
	if err := sweep(); err != nil {
		return nil, fmt.Errorf("remove old test benches: %w", err)
	}
	b := &Bench{ID: randomID()}
	if err := b.makeDir(); err != nil {
		return nil, fmt.Errorf("make test bench: %w", err)
	}
	if err := b.makeSwitch(); err != nil {
		return nil, fmt.Errorf("make test bench: %w", errors.Join(err, b.Close()))
	}
	return b, nil
}

// Close ends all processes of all hosts and removes every trace of the bench. It may be called twice.
func (b *Bench) Close() error {
	if b.lock == nil {
		return nil
	}
	var errs []error
	for _, h := range b.hosts {
		errs = append(errs, h.remove())
	}
	errs = append(errs, netns.Remove(b.nsPath(switchName)))
	if err := errors.Join(errs...); err != nil {
		return err // the directory stays, so that the next bench tries again
	}
	if err := os.RemoveAll(b.dir); err != nil {
		return err
	}
	err := b.lock.Close()
	b.lock = nil
	return err
}

// makeDir gives the directory its name only when the lock is held: nobody takes it for a dead one.
func (b *Bench) makeDir() error {
	tmp, err := os.MkdirTemp("/tmp", ".w-new-")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, lockName), nil, 0o600); err != nil {
		return err
	}
	if b.lock, err = lockDir(tmp); err != nil {
		return err
	}
	b.dir = benchPrefix + b.ID
	return errors.Join(os.Chmod(tmp, 0o755), os.Rename(tmp, b.dir))
}

// lockDir locks a bench's directory; it fails with EWOULDBLOCK while the bench's process lives, and with ErrNotExist if dir is
// no bench.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (b *Bench) makeSwitch() error {
	if err := os.MkdirAll(filepath.Dir(nsPrefix), 0o755); err != nil {
		return err
	}
	ns, _, err := netns.Open(b.nsPath(switchName))
	if err != nil {
		return err
	}
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = switchName
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	if err := ns.LinkAdd(bridge); err != nil {
		return fmt.Errorf("make bridge: %w", err)
	}
	return bringUp(ns, switchName, netip.PrefixFrom(netip.MustParseAddr(gatewayAddr), subnetBits))
}

func (b *Bench) nsPath(name string) string { return nsPrefix + b.ID + "-" + name }

// bringUp gives a link an address, unless invalid, and turns it on.
func bringUp(ns *netlink.Handle, name string, address netip.Prefix) error {
	l, err := ns.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find link %s: %w", name, err)
	}
	if address.IsValid() {
		a, err := netlink.ParseAddr(address.String())
		if err != nil {
			return err
		}
		if err := ns.AddrAdd(l, a); err != nil {
			return fmt.Errorf("add %s to %s: %w", address, name, err)
		}
	}
	return ns.LinkSetUp(l)
}

func randomID() string {
	var b [3]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
