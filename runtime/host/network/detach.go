package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"warren.io/warren/runtime/host/network/netns"
	"warren.io/warren/runtime/host/nftables"
)

// Detach removes namespace, link and address of id: the link first, because the file is what a later Detach finds it by.
// The kernel takes some 30 ms to remove a link; other ids are not held up meanwhile.
func (n *Network) Detach(_ context.Context, id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	defer n.busy.lock(id)()
	l, err := findLink(n.links, n.linkName(id))
	if err == nil && l != nil {
		err = deleteLink(l)
	}
	if err == nil {
		err = netns.Remove(n.netnsPath(id))
	}
	if err != nil {
		return fmt.Errorf("detach %s: %w", id, err)
	}
	n.used.release(id)
	return nil
}

// Teardown removes all that this node's network left on the machine: every attachment, the bridge, the rules and the files.
// The machine's ip_forward setting stays as it is, since others may rely on it by now.
func (n *Network) Teardown(ctx context.Context) error {
	ids, err := n.List(ctx)
	errs := []error{err}
	errs = append(errs, n.detachAll(ctx, ids)...)
	defer n.busy.lock("/configure")()
	n.current.Store(nil)
	if l, err := findLink(n.links, bridgeName); err != nil {
		errs = append(errs, err)
	} else if l != nil {
		errs = append(errs, deleteLink(l))
	}
	errs = append(errs, nftables.Remove())
	for _, path := range []string{n.netnsDir(), n.resolvConfPath()} {
		if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("tear down network: %w", err)
	}
	return nil
}

// detachAll works on many ids at once, as each waits in the kernel.
func (n *Network) detachAll(ctx context.Context, ids []string) []error {
	errs := make([]error, len(ids))
	slots := make(chan struct{}, 16)
	var all sync.WaitGroup
	for i, id := range ids {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			errs[i] = n.Detach(ctx, id)
		})
	}
	all.Wait()
	return errs
}

// readAddress returns the address in the namespace of id; none is no error.
func (n *Network) readAddress(id string) (netip.Prefix, error) {
	if !netns.Is(n.netnsPath(id)) {
		return netip.Prefix{}, nil
	}
	h, err := netns.Enter(n.netnsPath(id))
	if err != nil {
		return netip.Prefix{}, err
	}
	defer h.Close()
	l, err := findLink(h, taskLink)
	if err != nil || l == nil {
		return netip.Prefix{}, err
	}
	addrs, err := listAddrs(h, l)
	if err != nil || len(addrs) == 0 {
		return netip.Prefix{}, err
	}
	return fromIPNet(addrs[0].IPNet), nil
}
