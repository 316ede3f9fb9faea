package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/nftables"
)

// ErrSubnetInUse is returned by Configure: attachments have addresses of another subnet.
var ErrSubnetInUse = errors.New("subnet cannot change while tasks are attached")

const (
	defaultMTU = 1500
	ipForward  = "/proc/sys/net/ipv4/ip_forward"
)

// Configure brings up the bridge, its address, forwarding and outbound NAT, and puts links back on the bridge that fell off.
func (n *Network) Configure(_ context.Context, c host.NetworkConfig) error {
	defer n.busy.lock("/configure")() // no id contains a slash
	if c.MTU == 0 {
		c.MTU = defaultMTU
	}
	c.Subnet = c.Subnet.Masked()
	if err := n.configure(c); err != nil {
		return fmt.Errorf("configure network %s: %w", c.Subnet, err)
	}
	n.current.Store(&c)
	return nil
}

func (n *Network) configure(c host.NetworkConfig) error {
	if err := n.check(c); err != nil {
		return err
	}
	if err := os.MkdirAll(n.netnsDir(), 0o711); err != nil {
		return err
	}
	bridge, err := n.ensureBridge(c)
	if err != nil {
		return err
	}
	if err := n.rejoin(bridge); err != nil {
		return err
	}
	if err := enableForwarding(); err != nil {
		return err
	}
	blockers, err := nftables.Egress{Subnet: c.Subnet, Bridge: bridgeName}.Set()
	if err != nil {
		return err
	}
	n.warn(blockers)
	return writeInPlace(n.resolvConfPath(), hostResolvConf(n.config.HostResolvConf))
}

// check refuses what would take an address from a task or cut off the host.
func (n *Network) check(c host.NetworkConfig) error {
	if !c.Subnet.IsValid() || !c.Subnet.Addr().Is4() || c.Subnet.Bits() > 30 || c.Subnet.Bits() < 8 {
		return fmt.Errorf("want an IPv4 subnet of /8 to /30")
	}
	if c.MTU < 576 || c.MTU > 65535 {
		return fmt.Errorf("MTU %d: must be 576 to 65535", c.MTU)
	}
	if id, p, found := n.used.outside(c.Subnet); found {
		return fmt.Errorf("%w: %s has %s", ErrSubnetInUse, id, p)
	}
	links, err := listLinks(n.links)
	if err != nil {
		return err
	}
	for _, l := range links {
		instance, id, ok := parseAlias(l.Attrs().Alias)
		if ok && isOurs(l) && instance != n.config.Instance {
			return fmt.Errorf("bridge %s carries task %s of another node (instance %s): each node needs its own network namespace; `warren reset` removes a node", bridgeName, id, instance)
		}
	}
	return n.checkOverlap(c.Subnet, links)
}

// checkOverlap refuses a subnet that another link's network lies in: the host would lose its way there.
func (n *Network) checkOverlap(subnet netip.Prefix, links []netlink.Link) error {
	for _, l := range links {
		if name := l.Attrs().Name; strings.HasPrefix(name, "warren") || isOurs(l) {
			continue
		}
		addrs, err := listAddrs(n.links, l)
		if err != nil {
			return err
		}
		for _, a := range addrs {
			if p := fromIPNet(a.IPNet); p.IsValid() && subnet.Contains(p.Addr()) {
				return fmt.Errorf("the host has address %s on %s, inside the task subnet: choose another subnet", p, l.Attrs().Name)
			}
		}
	}
	return nil
}

// ensureBridge makes or repairs the bridge.
func (n *Network) ensureBridge(c host.NetworkConfig) (netlink.Link, error) {
	l, err := findLink(n.links, bridgeName)
	if err != nil {
		return nil, err
	}
	if l == nil {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU, attrs.HardwareAddr = bridgeName, c.MTU, bridgeMAC(n.config.Instance)
		if err := n.links.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
			return nil, fmt.Errorf("make bridge %s: %w", bridgeName, err)
		}
		if l, err = n.links.LinkByName(bridgeName); err != nil {
			return nil, fmt.Errorf("find bridge %s: %w", bridgeName, err)
		}
	}
	if l.Type() != "bridge" {
		return nil, fmt.Errorf("link %s is a %s, not a bridge", bridgeName, l.Type())
	}
	if err := n.ensureBridgeAddress(l, netip.PrefixFrom(gateway(c.Subnet), c.Subnet.Bits())); err != nil {
		return nil, err
	}
	if mac := bridgeMAC(n.config.Instance); !bytes.Equal(l.Attrs().HardwareAddr, mac) {
		if err := n.links.LinkSetHardwareAddr(l, mac); err != nil {
			return nil, fmt.Errorf("set MAC of %s: %w", bridgeName, err)
		}
	}
	return l, ensureUp(n.links, l, c.MTU)
}

// ensureBridgeAddress leaves exactly one IPv4 address on the bridge.
func (n *Network) ensureBridgeAddress(bridge netlink.Link, want netip.Prefix) error {
	addrs, err := listAddrs(n.links, bridge)
	if err != nil {
		return err
	}
	there := false
	for _, a := range addrs {
		if fromIPNet(a.IPNet) == want {
			there = true
		} else if err := n.links.AddrDel(bridge, &a); err != nil {
			return fmt.Errorf("remove address %s of %s: %w", a.IPNet, bridgeName, err)
		}
	}
	if there {
		return nil
	}
	if err := n.links.AddrAdd(bridge, &netlink.Addr{IPNet: toIPNet(want)}); err != nil {
		return fmt.Errorf("add address %s to %s: %w", want, bridgeName, err)
	}
	return nil
}

// rejoin puts our links back on the bridge, for when somebody deleted it.
func (n *Network) rejoin(bridge netlink.Link) error {
	links, err := listLinks(n.links)
	if err != nil {
		return err
	}
	for _, l := range links {
		if !isOurs(l) || l.Attrs().MasterIndex == bridge.Attrs().Index {
			continue
		}
		if err := n.join(l, bridge); err != nil && !isGone(err) {
			return err
		}
	}
	return nil
}

// join makes l a port of the bridge. Hairpin lets a task reach itself through an address of the node.
func (n *Network) join(l, bridge netlink.Link) error {
	if l.Attrs().MasterIndex != bridge.Attrs().Index {
		if err := n.links.LinkSetMaster(l, bridge); err != nil {
			return fmt.Errorf("put %s on %s: %w", l.Attrs().Name, bridgeName, err)
		}
	}
	if err := n.links.LinkSetHairpin(l, true); err != nil {
		return fmt.Errorf("set hairpin of %s: %w", l.Attrs().Name, err)
	}
	return nil
}

// warn tells once about forward chains that drop by default.
func (n *Network) warn(blockers []string) {
	text := strings.Join(blockers, " ")
	if old := n.warned.Swap(&text); text != "" && (old == nil || *old != text) {
		n.config.Log.Info("a firewall drops forwarded packets by default; tasks reach nothing outside unless it accepts "+bridgeName,
			"chains", text)
	}
}

func enableForwarding() error {
	if v, err := os.ReadFile(ipForward); err == nil && strings.TrimSpace(string(v)) == "1" {
		return nil
	}
	if err := os.WriteFile(ipForward, []byte("1\n"), 0); err != nil {
		return fmt.Errorf("enable IP forwarding: %w", err)
	}
	return nil
}
