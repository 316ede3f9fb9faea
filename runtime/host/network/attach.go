package network

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/network/netns"
)

const (
	carrierPatience = time.Second
	carrierPoll     = 200 * time.Microsecond
)

// Attach makes the namespace for id, or repairs and returns the one that is there. The order of the steps is what makes it
// safe to be killed between any two: the file in the netns directory comes first, and each later thing is found through it.
func (n *Network) Attach(_ context.Context, id string, want netip.Addr) (host.Attachment, error) {
	if err := checkID(id); err != nil {
		return host.Attachment{}, err
	}
	defer n.busy.lock(id)()
	c := n.current.Load()
	if c == nil {
		return host.Attachment{}, fmt.Errorf("attach %s: network is not configured: %w", id, host.ErrNotReady)
	}
	address, err := n.attach(id, want, *c)
	if err != nil {
		return host.Attachment{}, fmt.Errorf("attach %s: %w", id, err)
	}
	return host.Attachment{ID: id, NetNS: n.netnsPath(id), Address: address, Gateway: gateway(c.Subnet), ResolvConf: n.resolvConfPath()}, nil
}

func (n *Network) attach(id string, want netip.Addr, c host.NetworkConfig) (netip.Prefix, error) {
	bridge, err := n.links.LinkByName(bridgeName)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("find bridge %s: %w", bridgeName, err)
	}
	inside, made, err := netns.Open(n.netnsPath(id))
	if err != nil {
		return netip.Prefix{}, err
	}
	defer inside.Close()
	outer, inner, err := n.pair(id, inside, made)
	if err != nil {
		return netip.Prefix{}, err
	}
	address, err := n.choose(id, inside, inner, want, c.Subnet)
	if err != nil {
		return netip.Prefix{}, err
	}
	if outer == nil {
		if outer, inner, err = n.connect(id, n.netnsPath(id), inside, bridge, address.Addr(), c.MTU); err != nil {
			return netip.Prefix{}, err
		}
	}
	if err := n.ensureOuter(id, outer, bridge, c.MTU); err != nil {
		return netip.Prefix{}, err
	}
	if err := ensureInner(inside, inner, address, gateway(c.Subnet), c.MTU); err != nil {
		return netip.Prefix{}, err
	}
	return address, n.awaitCarrier(n.linkName(id), bridgeName)
}

// awaitCarrier waits until the kernel has noticed that the links are up, which it does a moment after they were brought up.
// Until then packets are lost, and whoever sends one asks again only a second later. Waiting longer than that would not help.
func (n *Network) awaitCarrier(names ...string) error {
	deadline := time.Now().Add(carrierPatience)
	for _, name := range names {
		for {
			l, err := n.links.LinkByName(name)
			if err != nil {
				return fmt.Errorf("find link %s: %w", name, err)
			}
			if l.Attrs().OperState == netlink.OperUp || time.Now().After(deadline) {
				break
			}
			time.Sleep(carrierPoll)
		}
	}
	return nil
}

// pair finds both ends of id's veth. A single end, or an end whose other is elsewhere, is removed; then both are nil.
func (n *Network) pair(id string, inside *netlink.Handle, fresh bool) (outer, inner netlink.Link, err error) {
	if outer, err = findLink(n.links, n.linkName(id)); err != nil {
		return nil, nil, err
	}
	if !fresh {
		if inner, err = findLink(inside, taskLink); err != nil {
			return nil, nil, err
		}
	}
	if outer != nil && inner != nil && inner.Attrs().ParentIndex == outer.Attrs().Index && outer.Attrs().ParentIndex == inner.Attrs().Index {
		return outer, inner, nil
	}
	if outer != nil {
		if err := deleteLink(outer); err != nil {
			return nil, nil, err
		}
	}
	if inner != nil {
		if err := inside.LinkDel(inner); err != nil && !isGone(err) {
			return nil, nil, fmt.Errorf("delete %s in the namespace: %w", taskLink, err)
		}
	}
	return nil, nil, nil
}

// choose keeps the address that is there if it is right, else it takes one.
func (n *Network) choose(id string, inside *netlink.Handle, inner netlink.Link, want netip.Addr, subnet netip.Prefix) (netip.Prefix, error) {
	if inner != nil {
		addrs, err := listAddrs(inside, inner)
		if err != nil {
			return netip.Prefix{}, err
		}
		for _, a := range addrs {
			if p := fromIPNet(a.IPNet); p.Masked() == subnet && n.used.adopt(id, p) {
				return p, nil
			}
		}
	}
	return n.used.take(subnet, id, want)
}

// connect makes the veth in one request: outer end on the bridge, inner end in the namespace.
func (n *Network) connect(id, path string, inside *netlink.Handle, bridge netlink.Link, a netip.Addr, mtu int) (outer, inner netlink.Link, err error) {
	ns, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.MasterIndex, attrs.Flags = n.linkName(id), mtu, bridge.Attrs().Index, net.FlagUp
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNamespace = taskLink, netlink.NsFd(ns.Fd())
	veth.PeerMTU, veth.PeerHardwareAddr = uint32(mtu), taskMAC(a)
	if err := n.links.LinkAdd(veth); err != nil {
		return nil, nil, fmt.Errorf("make link %s: %w", attrs.Name, err)
	}
	if inner, err = inside.LinkByName(taskLink); err != nil {
		return nil, nil, fmt.Errorf("find %s in the namespace: %w", taskLink, err)
	}
	return veth, inner, nil
}

// ensureOuter names the node's end with the id and makes it a working port of the bridge.
func (n *Network) ensureOuter(id string, outer, bridge netlink.Link, mtu int) error {
	if alias := linkAlias(n.config.Instance, id); outer.Attrs().Alias != alias {
		if err := n.links.LinkSetAlias(outer, alias); err != nil {
			return fmt.Errorf("name link of %s: %w", id, err)
		}
	}
	if err := n.join(outer, bridge); err != nil {
		return err
	}
	return ensureUp(n.links, outer, mtu)
}

// ensureInner brings up lo and eth0 with address and default route.
func ensureInner(h *netlink.Handle, inner netlink.Link, address netip.Prefix, gw netip.Addr, mtu int) error {
	lo, err := h.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo in the namespace: %w", err)
	}
	if err := ensureUp(h, lo, 0); err != nil {
		return err
	}
	if err := ensureMAC(h, inner, taskMAC(address.Addr())); err != nil {
		return err
	}
	if err := ensureTaskAddress(h, inner, address); err != nil {
		return err
	}
	if err := ensureUp(h, inner, mtu); err != nil {
		return err
	}
	return ensureDefaultRoute(h, inner, gw)
}

// ensureMAC matters for a link that was made for another address, when we were killed before it got that: the address goes
// to another task, and two links with one MAC on a bridge take each other's packets.
func ensureMAC(h *netlink.Handle, inner netlink.Link, mac net.HardwareAddr) error {
	if bytes.Equal(inner.Attrs().HardwareAddr, mac) {
		return nil
	}
	if err := h.LinkSetHardwareAddr(inner, mac); err != nil {
		return fmt.Errorf("set MAC of %s: %w", taskLink, err)
	}
	return nil
}

func ensureTaskAddress(h *netlink.Handle, inner netlink.Link, address netip.Prefix) error {
	addrs, err := listAddrs(h, inner)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if fromIPNet(a.IPNet) == address {
			return nil
		}
		if err := h.AddrDel(inner, &a); err != nil {
			return fmt.Errorf("remove address %s: %w", a.IPNet, err)
		}
	}
	if err := h.AddrAdd(inner, &netlink.Addr{IPNet: toIPNet(address)}); err != nil {
		return fmt.Errorf("add address %s: %w", address, err)
	}
	return nil
}

func ensureDefaultRoute(h *netlink.Handle, inner netlink.Link, gw netip.Addr) error {
	routes, err := listRoutes(h, inner)
	if err != nil {
		return err
	}
	for _, r := range routes {
		if isDefault(r) && r.Gw.Equal(gw.AsSlice()) {
			return nil
		}
	}
	if err := h.RouteReplace(&netlink.Route{LinkIndex: inner.Attrs().Index, Gw: gw.AsSlice()}); err != nil {
		return fmt.Errorf("set default route by %s: %w", gw, err)
	}
	return nil
}

func isDefault(r netlink.Route) bool {
	if r.Dst == nil {
		return true
	}
	ones, _ := r.Dst.Mask.Size()
	return ones == 0
}

// ensureUp sets the MTU, unless 0, and brings the link up.
func ensureUp(h *netlink.Handle, l netlink.Link, mtu int) error {
	if mtu != 0 && l.Attrs().MTU != mtu {
		if err := h.LinkSetMTU(l, mtu); err != nil {
			return fmt.Errorf("set MTU of %s to %d: %w", l.Attrs().Name, mtu, err)
		}
	}
	if l.Attrs().Flags&net.FlagUp != 0 {
		return nil
	}
	if err := h.LinkSetUp(l); err != nil {
		return fmt.Errorf("bring up %s: %w", l.Attrs().Name, err)
	}
	return nil
}
