package hosts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"warren.io/warren/runtime/host/network/netns"
)

// Host is one machine of the bench.
type Host struct {
	Name     string
	Address  netip.Prefix // of its eth0
	NetNS    string       // path of its network namespace
	DataDir  string       // --data-dir; survives Reboot
	RunDir   string       // --run-dir; empty after Reboot
	Instance string       // what a node with this DataDir calls itself in cgroup names and the like
	bench    *Bench
}

// Host makes a host. The name has 1 to 8 small letters and digits.
func (b *Bench) Host(name string) (*Host, error) {
	for _, h := range b.hosts {
		if h.Name == name {
			return nil, fmt.Errorf("make host %s: there is one", name)
		}
	}
	if !hostName.MatchString(name) || name == switchName || len(b.hosts) == maxHosts {
		return nil, fmt.Errorf("make host %q: bad name, or too many hosts", name)
	}
	h := newHost(b, name)
	address := netip.MustParseAddr(gatewayAddr).As4()
	address[3] = byte(firstHost + len(b.hosts))
	h.Address = netip.PrefixFrom(netip.AddrFrom4(address), subnetBits)
	b.hosts = append(b.hosts, h)
	if err := errors.Join(os.MkdirAll(h.DataDir, 0o755), os.MkdirAll(h.RunDir, 0o755)); err != nil {
		return nil, err
	}
	if err := h.plug(); err != nil {
		return nil, fmt.Errorf("make host %s: %w", name, err)
	}
	return h, nil
}

func newHost(b *Bench, name string) *Host {
	dir := filepath.Join(b.dir, name)
	h := &Host{Name: name, NetNS: b.nsPath(name), DataDir: filepath.Join(dir, "d"), RunDir: filepath.Join(dir, "r"), bench: b}
	h.Instance = InstanceOf(h.DataDir)
	return h
}

// InstanceOf is the name that a node with this data directory goes by on its machine.
func InstanceOf(dataDir string) string {
	sum := sha256.Sum256([]byte(dataDir))
	return hex.EncodeToString(sum[:4])
}

// plug makes the host's network namespace and its cable to the switch.
func (h *Host) plug() error {
	inside, _, err := netns.Open(h.NetNS)
	if err != nil {
		return err
	}
	defer inside.Close()
	sw, err := netns.Enter(h.bench.nsPath(switchName))
	if err != nil {
		return err
	}
	defer sw.Close()
	bridge, err := sw.LinkByName(switchName)
	if err != nil {
		return fmt.Errorf("find bridge: %w", err)
	}
	ns, err := os.Open(h.NetNS)
	if err != nil {
		return err
	}
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex, attrs.Flags = h.port(), bridge.Attrs().Index, net.FlagUp
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNamespace = "eth0", netlink.NsFd(ns.Fd())
	if err := sw.LinkAdd(veth); err != nil {
		return fmt.Errorf("make cable: %w", err)
	}
	if err := errors.Join(bringUp(inside, "lo", netip.Prefix{}), bringUp(inside, "eth0", h.Address)); err != nil {
		return err
	}
	return inside.RouteAdd(&netlink.Route{Gw: netip.MustParseAddr(gatewayAddr).AsSlice()})
}

func (h *Host) port() string { return "port-" + h.Name }

// Command runs a program in the host's network namespace. Its pid is the program's own. WARREN_SERVER names the host's node.
func (h *Host) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + h.NetNS, "--", program}, args...)...)
	cmd.Env = append(os.Environ(), "WARREN_SERVER=unix://"+filepath.Join(h.RunDir, "warren.sock"))
	cmd.WaitDelay = 5 * time.Second // a shim that inherited the output must not keep Wait from returning
	return cmd
}

// Do runs f on a thread in the host's network namespace: connections and listeners that f opens are the host's.
func (h *Host) Do(f func() error) error { return netns.Do(h.NetNS, f) }

// Cut takes the host's cable off the switch; Heal plugs it in again. Processes run on.
func (h *Host) Cut() error { return h.setPort(false) }

// Heal undoes Cut, Mute and Deafen.
func (h *Host) Heal() error { return errors.Join(h.setPort(true), h.bothWays()) }

func (h *Host) setPort(up bool) error {
	sw, err := netns.Enter(h.bench.nsPath(switchName))
	if err != nil {
		return err
	}
	defer sw.Close()
	l, err := sw.LinkByName(h.port())
	if err != nil {
		return fmt.Errorf("find port of %s: %w", h.Name, err)
	}
	if up {
		return sw.LinkSetUp(l)
	}
	return sw.LinkSetDown(l)
}

// Reboot undoes all faults but Move. It is power off and on: every process is killed and what a kernel keeps in memory is gone (namespaces, links, rules,
// mounts, cgroups, the run directory). The data directory stays. The caller starts the node again.
func (h *Host) Reboot() error {
	if err := h.powerOff(); err != nil {
		return fmt.Errorf("reboot %s: %w", h.Name, err)
	}
	if err := os.Mkdir(h.RunDir, 0o755); err != nil {
		return fmt.Errorf("reboot %s: %w", h.Name, err)
	}
	return h.plug()
}

// remove takes the host off the machine.
func (h *Host) remove() error {
	if err := h.powerOff(); err != nil {
		return fmt.Errorf("remove host %s: %w", h.Name, err)
	}
	return os.RemoveAll(filepath.Dir(h.DataDir))
}

func (h *Host) powerOff() error {
	errs := []error{h.Kill(), unmountBelow(h.DataDir), unmountBelow(h.RunDir), removeCgroups(h.Instance), h.removeSlow(), h.bothWays(), h.unplug(), netns.Remove(h.NetNS)}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return os.RemoveAll(h.RunDir)
}

// unplug removes the cable at once; the kernel would take its time after the namespace is gone.
func (h *Host) unplug() error {
	if !netns.Is(h.bench.nsPath(switchName)) {
		return nil
	}
	sw, err := netns.Enter(h.bench.nsPath(switchName))
	if err != nil {
		return err
	}
	defer sw.Close()
	l, err := sw.LinkByName(h.port())
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := sw.LinkDel(l); err != nil && !errors.Is(err, unix.ENODEV) {
		return err
	}
	return nil
}
