//go:build e2e

package network

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/network/netns"
)

func TestTasksReachEachOtherAndTheGateway(t *testing.T) {
	isolated(t, func(t *testing.T) {
		run := runDir(t)
		n := newNetwork(t, run)
		a, b := mustAttach(t, n, "web-1-1"), mustAttach(t, n, "web-2-1")
		serve(t, a.NetNS, ":80")
		serve(t, "", "10.0.1.1:81")
		if got := ask(t, b.NetNS, a.Address.Addr().String()+":80"); got != b.Address.Addr().String() {
			t.Errorf("task to task: seen as %s, want %s", got, b.Address.Addr())
		}
		if got := ask(t, b.NetNS, "10.0.1.1:81"); got != b.Address.Addr().String() {
			t.Errorf("task to gateway: seen as %s", got)
		}
		if got := ask(t, a.NetNS, "127.0.0.1:80"); got != "127.0.0.1" {
			t.Errorf("loopback: seen as %s", got)
		}
		if got, err := os.ReadFile(a.ResolvConf); err != nil || string(got) != "nameserver 192.0.2.53\n" {
			t.Errorf("resolv.conf: %q %v", got, err)
		}
		if a.Gateway.String() != "10.0.1.1" || a.Address.Bits() != 24 || a.Address == b.Address {
			t.Errorf("attachments: %+v %+v", a, b)
		}
	})
}

// outside makes a peer namespace on a network of its own, and returns its path. It has no route to the tasks.
func outside(t *testing.T, run string) string {
	t.Helper()
	peer := filepath.Join(run, "outside")
	h, _, err := netns.Open(peer)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	ns, err := os.Open(peer)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	veth := netlink.NewVeth(netlink.NewLinkAttrs())
	veth.Name, veth.PeerName, veth.PeerNamespace = "uplink", "far", netlink.NsFd(ns.Fd())
	near, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	if err := near.LinkAdd(veth); err != nil {
		t.Fatal(err)
	}
	far, err := h.LinkByName("far")
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		ensureTaskAddress(near, veth, netip.MustParsePrefix("192.0.2.1/24")), ensureUp(near, veth, 0),
		ensureTaskAddress(h, far, netip.MustParsePrefix("192.0.2.2/24")), ensureUp(h, far, 0))
	if err != nil {
		t.Fatal(err)
	}
	return peer
}

func TestOutboundTrafficHasTheNodesAddress(t *testing.T) {
	isolated(t, func(t *testing.T) {
		run := runDir(t)
		n := newNetwork(t, run)
		peer := outside(t, run)
		a := mustAttach(t, n, "web-1-1")
		serve(t, peer, "192.0.2.2:80")
		if got := ask(t, a.NetNS, "192.0.2.2:80"); got != "192.0.2.1" {
			t.Errorf("the peer saw %s, want the node's 192.0.2.1", got)
		}
	})
}

func TestIptablesThatDropsForwardingIsPassed(t *testing.T) {
	isolated(t, func(t *testing.T) {
		drop, prio := nftables.ChainPolicyDrop, nftables.ChainPriorityFilter
		c, err := nftables.New()
		if err != nil {
			t.Fatal(err)
		}
		docker := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "filter"}) // as iptables-nft names it
		c.AddChain(&nftables.Chain{Name: "FORWARD", Table: docker, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookForward, Priority: prio, Policy: &drop})
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		run := runDir(t)
		n := newNetwork(t, run)
		peer := outside(t, run)
		a := mustAttach(t, n, "web-1-1")
		serve(t, peer, "192.0.2.2:80")
		if got := ask(t, a.NetNS, "192.0.2.2:80"); got != "192.0.2.1" {
			t.Errorf("the peer saw %s", got)
		}
		filter := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: "filter"}
		chain := &nftables.Chain{Name: "FORWARD", Table: filter}
		count := func() int { rules, _ := c.GetRules(filter, chain); return len(rules) }
		if err := n.Configure(t.Context(), *n.current.Load()); err != nil || count() != 2 {
			t.Errorf("after a second Configure: %d rules, %v", count(), err)
		}
		if err := n.Teardown(t.Context()); err != nil || count() != 0 {
			t.Errorf("after Teardown: %d rules, %v", count(), err)
		}
	})
}

// changes collects what the kernel tells about links and addresses until stop is called.
func changes(t *testing.T) (stop func() []string) {
	t.Helper()
	links, addrs, done := make(chan netlink.LinkUpdate, 99), make(chan netlink.AddrUpdate, 99), make(chan struct{})
	if err := errors.Join(netlink.LinkSubscribe(links, done), netlink.AddrSubscribe(addrs, done)); err != nil {
		t.Fatal(err)
	}
	return func() (out []string) {
		defer close(done)
		marker, address := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "marker"}}, netip.MustParsePrefix("198.51.100.1/24")
		if err := errors.Join(netlink.LinkAdd(marker), netlink.AddrAdd(marker, &netlink.Addr{IPNet: toIPNet(address)})); err != nil {
			t.Fatal(err)
		}
		for u := range links { // messages come in order: what happened before the marker is told before it
			if u.Attrs().Name == "marker" {
				break
			}
			out = append(out, "link "+u.Attrs().Name)
		}
		for u := range addrs {
			if fromIPNet(&u.LinkAddress) == address {
				break
			}
			out = append(out, "address "+u.LinkAddress.String())
		}
		return out
	}
}

// ruleHandles lists the rules of our table by their handles: a rule made anew gets a new one.
func ruleHandles(t *testing.T) (out []uint64) {
	t.Helper()
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: "warren"}
	rules, err := c.GetRules(table, &nftables.Chain{Name: "egress", Table: table})
	if err != nil || len(rules) == 0 {
		t.Fatalf("%d rules, %v", len(rules), err)
	}
	for _, r := range rules {
		out = append(out, r.Handle)
	}
	return out
}

func TestConfigureTwiceChangesNothing(t *testing.T) {
	isolated(t, func(t *testing.T) {
		run := runDir(t)
		n := newNetwork(t, run)
		mustAttach(t, n, "a")
		before, _ := os.Stat(filepath.Join(run, "resolv.conf"))
		handles, stop, first := ruleHandles(t), changes(t), time.Now()
		for range 10 {
			if err := n.Configure(t.Context(), host.NetworkConfig{Subnet: testSubnet, MTU: 1420}); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("one repeated Configure: %v", time.Since(first)/10)
		if got := stop(); len(got) != 0 {
			t.Errorf("Configure changed: %v", got)
		}
		if got := ruleHandles(t); !slices.Equal(got, handles) {
			t.Errorf("rules before %v, after %v", handles, got)
		}
		if after, _ := os.Stat(filepath.Join(run, "resolv.conf")); after.ModTime() != before.ModTime() {
			t.Error("resolv.conf was written again")
		}
	})
}

func TestConfigureRepairs(t *testing.T) {
	isolated(t, func(t *testing.T) {
		n := newNetwork(t, runDir(t))
		a, b := mustAttach(t, n, "a"), mustAttach(t, n, "b")
		serve(t, a.NetNS, ":80")
		damage := map[string]func() error{
			"bridge deleted": func() error { l, _ := findLink(n.links, bridgeName); return deleteLink(l) },
			"bridge down":    func() error { l, _ := findLink(n.links, bridgeName); return n.links.LinkSetDown(l) },
			"no address": func() error {
				l, _ := findLink(n.links, bridgeName)
				return n.links.AddrDel(l, &netlink.Addr{IPNet: toIPNet(netip.MustParsePrefix("10.0.1.1/24"))})
			},
			"no forwarding": func() error { return os.WriteFile(ipForward, []byte("0"), 0) },
			"port taken off": func() error {
				l, _ := findLink(n.links, n.linkName("a"))
				return n.links.LinkSetNoMaster(l)
			},
		}
		for name, break_ := range damage {
			if err := break_(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := n.Configure(t.Context(), host.NetworkConfig{Subnet: testSubnet, MTU: 1420}); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got := ask(t, b.NetNS, a.Address.Addr().String()+":80"); got != b.Address.Addr().String() {
				t.Errorf("%s: seen as %s", name, got)
			}
			if v, _ := os.ReadFile(ipForward); strings.TrimSpace(string(v)) != "1" {
				t.Errorf("%s: forwarding is off", name)
			}
		}
	})
}

func TestConfigureRefuses(t *testing.T) {
	isolated(t, func(t *testing.T) {
		run := runDir(t)
		n := newNetwork(t, run)
		mustAttach(t, n, "a")
		other := host.NetworkConfig{Subnet: netip.MustParsePrefix("10.0.2.0/24")}
		if err := n.Configure(t.Context(), other); !errors.Is(err, ErrSubnetInUse) {
			t.Errorf("changed subnet: %v", err)
		}
		if err := n.Detach(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if err := n.Configure(t.Context(), other); err != nil {
			t.Errorf("changed subnet without tasks: %v", err)
		}
		if a := mustAttach(t, n, "b"); !other.Subnet.Contains(a.Address.Addr()) {
			t.Errorf("address %s", a.Address)
		}
		outside(t, run)
		err := n.Configure(t.Context(), host.NetworkConfig{Subnet: netip.MustParsePrefix("192.0.2.0/24")})
		if err == nil {
			t.Error("the host's own subnet was taken")
		}
		twin, err := Open(Config{RunDir: runDir(t), Instance: "ffffffff"})
		if err != nil {
			t.Fatal(err)
		}
		defer twin.Close()
		if err := twin.Configure(t.Context(), other); err == nil || !strings.Contains(err.Error(), "another node") {
			t.Errorf("second node in one namespace: %v", err)
		}
		if ids, _ := twin.List(t.Context()); len(ids) != 0 {
			t.Errorf("the second node claims %v", ids)
		}
	})
}

func TestAttachManyAtOnceAndNoLeak(t *testing.T) {
	isolated(t, func(t *testing.T) {
		run := runDir(t)
		n := newNetwork(t, run)
		before := linkNames(t)
		attachSerially(t, n, 50)
		attachInParallel(t, n, 50)
		for _, e := range n.detachAllListed(t) {
			t.Error(e)
		}
		assertNothingLeft(t, n, run)
		if after := linkNames(t); !slices.Equal(before, after) {
			t.Errorf("links before %v, after %v", before, after)
		}
	})
}

func (n *Network) detachAllListed(t *testing.T) []error {
	ids, err := n.List(t.Context())
	if err != nil || len(ids) != 50 {
		t.Errorf("List: %d ids, %v", len(ids), err)
	}
	start := time.Now()
	var errs []error
	for _, e := range n.detachAll(t.Context(), ids) {
		if e != nil {
			errs = append(errs, e)
		}
	}
	t.Logf("%d detaches, 16 at a time: %v in all", len(ids), time.Since(start))
	return errs
}

func attachSerially(t *testing.T, n *Network, count int) {
	var add, del []time.Duration
	for i := range count {
		start := time.Now()
		mustAttach(t, n, "serial-"+string(rune('a'+i)))
		add = append(add, time.Since(start))
	}
	for i := range count {
		start := time.Now()
		if err := n.Detach(t.Context(), "serial-"+string(rune('a'+i))); err != nil {
			t.Error(err)
		}
		del = append(del, time.Since(start))
	}
	slices.Sort(add)
	slices.Sort(del)
	t.Logf("serial attach p50 %v max %v, detach p50 %v max %v", add[count/2], add[count-1], del[count/2], del[count-1])
}

func attachInParallel(t *testing.T, n *Network, count int) {
	var all sync.WaitGroup
	start, got := time.Now(), make([]host.Attachment, count)
	for i := range count {
		all.Go(func() {
			a, err := n.Attach(t.Context(), "parallel-"+string(rune('a'+i)), netip.Addr{})
			if err != nil {
				t.Error(err)
			}
			got[i] = a
		})
	}
	all.Wait()
	t.Logf("%d attaches at once: %v in all", count, time.Since(start))
	seen := map[netip.Prefix]bool{}
	for _, a := range got {
		if seen[a.Address] {
			t.Errorf("address %s was handed out twice", a.Address)
		}
		seen[a.Address] = true
	}
}

func TestTeardownLeavesNothing(t *testing.T) {
	isolated(t, func(t *testing.T) {
		run := runDir(t)
		before := linkNames(t)
		n := newNetwork(t, run)
		for _, id := range []string{"a", "b", "c"} {
			mustAttach(t, n, id)
		}
		for range 2 { // the second has nothing to do
			if err := n.Teardown(t.Context()); err != nil {
				t.Fatal(err)
			}
			assertNothingLeft(t, n, run)
		}
		if after := linkNames(t); !slices.Equal(before, after) {
			t.Errorf("links before %v, after %v", before, after)
		}
		c, _ := nftables.New()
		if tables, err := c.ListTables(); err != nil || len(tables) != 0 {
			t.Errorf("tables are left: %v %v", tables, err)
		}
		if _, err := n.Attach(t.Context(), "d", netip.Addr{}); !errors.Is(err, host.ErrNotReady) {
			t.Errorf("Attach after Teardown: %v", err)
		}
	})
}
