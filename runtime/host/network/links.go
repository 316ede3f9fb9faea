package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// listLinks asks again when the kernel's table changed while it was read: then the answer may lack entries.
func listLinks(h *netlink.Handle) ([]netlink.Link, error) {
	return again(h.LinkList, "list links")
}

func listAddrs(h *netlink.Handle, l netlink.Link) ([]netlink.Addr, error) {
	return again(func() ([]netlink.Addr, error) { return h.AddrList(l, netlink.FAMILY_V4) }, "list addresses")
}

func listRoutes(h *netlink.Handle, l netlink.Link) ([]netlink.Route, error) {
	return again(func() ([]netlink.Route, error) { return h.RouteList(l, netlink.FAMILY_V4) }, "list routes")
}

func again[T any](list func() ([]T, error), what string) ([]T, error) {
	for range 20 {
		all, err := list()
		if err == nil {
			return all, nil
		}
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil, fmt.Errorf("%s: the table does not come to rest", what)
}

// findLink returns nil without an error when there is no such link.
func findLink(h *netlink.Handle, name string) (netlink.Link, error) {
	l, err := h.LinkByName(name)
	if isGone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find link %s: %w", name, err)
	}
	return l, nil
}

// deleteLink uses its own connection: the kernel answers only after tens of milliseconds, and meanwhile a connection is locked.
func deleteLink(l netlink.Link) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	if err := h.LinkDel(l); err != nil && !isGone(err) {
		return fmt.Errorf("delete link %s: %w", l.Attrs().Name, err)
	}
	return nil
}

func isGone(err error) bool {
	var notFound netlink.LinkNotFoundError
	return errors.As(err, &notFound) || errors.Is(err, unix.ENODEV) || errors.Is(err, os.ErrNotExist)
}

// isOurs says whether l is the node's end of a task's veth, of this or another node.
func isOurs(l netlink.Link) bool {
	return l.Type() == "veth" && strings.HasPrefix(l.Attrs().Name, linkPrefix) && len(l.Attrs().Name) == len(linkPrefix)+13
}

func toIPNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func fromIPNet(n *net.IPNet) netip.Prefix {
	if n == nil {
		return netip.Prefix{}
	}
	a, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	if !ok {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(a.Unmap(), ones)
}
