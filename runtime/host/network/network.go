// Package network gives every task its own network namespace, a veth on the node's bridge and an address of the node's subnet.
//
// There is no state file: what is in use is what is on the machine, read back at Open. Every step can be repeated, so that
// after kill -9 at any point Attach completes and Detach removes what is half made. All of it works in the network namespace
// of the process; two nodes on one machine need two network namespaces.
package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/go-logr/logr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"warren.io/warren/runtime/host"
)

var _ host.Network = (*Network)(nil)

// Config says where a node keeps its network.
type Config struct {
	RunDir   string // namespaces are mounted below RunDir/netns, tasks' resolv.conf is RunDir/resolv.conf
	Instance string // tells this node's links from those of another node
	Log      logr.Logger
	// HostResolvConf is read to make the tasks' resolv.conf; "" means /etc/resolv.conf.
	HostResolvConf string
}

// Network is the task network of one node. It is safe for concurrent use.
type Network struct {
	config  Config
	links   *netlink.Handle // for quick requests; a slow one takes a handle of its own
	used    *addresses
	busy    *keyLocks // one Attach or Detach per id at a time
	current atomic.Pointer[host.NetworkConfig]
	warned  atomic.Pointer[string] // the last warning about foreign rules, so that it is given once
}

// Open reads what attachments the machine has. Nothing is changed but a link of ours that no id can be found for.
func Open(c Config) (*Network, error) {
	if c.HostResolvConf == "" {
		c.HostResolvConf = defaultResolvConf
	}
	if c.Log.GetSink() == nil {
		c.Log = logr.Discard()
	}
	n := &Network{config: c, used: newAddresses(), busy: newKeyLocks()}
	if err := os.MkdirAll(n.netnsDir(), 0o711); err != nil {
		return nil, fmt.Errorf("open network: %w", err)
	}
	links, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open network: netlink: %w", err)
	}
	n.links = links
	if err := n.recover(); err != nil {
		links.Close()
		return nil, fmt.Errorf("open network: %w", err)
	}
	return n, nil
}

// Close ends the connection to the kernel. Attachments stay.
func (n *Network) Close() { n.links.Close() }

// recover learns the addresses in use and removes links that were made but not yet named when we were killed.
func (n *Network) recover() error {
	ids, err := n.namespaces()
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, id := range ids {
		known[linkName(n.config.Instance, id)] = true
		p, err := n.readAddress(id)
		if err != nil {
			n.config.Log.Error(err, "attachment cannot be read", "id", id)
		} else if p.IsValid() && !n.used.adopt(id, p) {
			n.config.Log.Info("two attachments have one address", "id", id, "address", p.String())
		}
	}
	links, err := listLinks(n.links)
	if err != nil {
		return err
	}
	for _, l := range links {
		if isOurs(l) && l.Attrs().Alias == "" && !known[l.Attrs().Name] {
			if err := deleteLink(l); err != nil {
				return err
			}
			n.config.Log.Info("removed a link without a task", "link", l.Attrs().Name)
		}
	}
	return nil
}

// List returns the ids of all attachments found on the machine, sorted, also half-made ones.
func (n *Network) List(context.Context) ([]string, error) {
	ids, err := n.namespaces()
	if err != nil {
		return nil, fmt.Errorf("list attachments: %w", err)
	}
	links, err := listLinks(n.links)
	if err != nil {
		return nil, fmt.Errorf("list attachments: %w", err)
	}
	for _, l := range links {
		if instance, id, ok := parseAlias(l.Attrs().Alias); ok && isOurs(l) && instance == n.config.Instance {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// namespaces returns the ids that have a file in the netns directory, mounted or not.
func (n *Network) namespaces() ([]string, error) {
	entries, err := os.ReadDir(n.netnsDir())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if checkID(e.Name()) == nil {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

func (n *Network) netnsDir() string           { return filepath.Join(n.config.RunDir, "netns") }
func (n *Network) netnsPath(id string) string { return filepath.Join(n.netnsDir(), id) }
func (n *Network) resolvConfPath() string     { return filepath.Join(n.config.RunDir, "resolv.conf") }
func (n *Network) linkName(id string) string  { return linkName(n.config.Instance, id) }
