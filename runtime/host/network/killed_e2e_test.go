//go:build e2e

package network

import (
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/network/netns"
)

// halfMade leaves the machine as if we had been killed after each step of Attach or Detach.
var halfMade = map[string]func(t *testing.T, n *Network, id string){
	"file without namespace": func(t *testing.T, n *Network, id string) {
		if err := os.WriteFile(n.netnsPath(id), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	},
	"namespace without link": func(t *testing.T, n *Network, id string) {
		h, made, err := netns.Open(n.netnsPath(id))
		if err != nil || !made {
			t.Fatal(made, err)
		}
		h.Close()
	},
	"link without name and address": func(t *testing.T, n *Network, id string) {
		h, _, err := netns.Open(n.netnsPath(id))
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		bridge, _ := findLink(n.links, bridgeName)
		if _, _, err := n.connect(id, n.netnsPath(id), h, bridge, netip.MustParseAddr("10.0.1.9"), 1420); err != nil {
			t.Fatal(err)
		}
	},
	"address without route": func(t *testing.T, n *Network, id string) {
		a := mustAttach(t, n, id)
		h, err := netns.Enter(a.NetNS)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		if err := h.RouteDel(&netlink.Route{Gw: a.Gateway.AsSlice(), Dst: toIPNet(netip.MustParsePrefix("0.0.0.0/0"))}); err != nil {
			t.Fatal(err)
		}
	},
	"link deleted by somebody": func(t *testing.T, n *Network, id string) {
		mustAttach(t, n, id)
		l, err := findLink(n.links, n.linkName(id))
		if err != nil {
			t.Fatal(err)
		}
		if err := deleteLink(l); err != nil {
			t.Fatal(err)
		}
	},
	"namespace unmounted while a process is in it": func(t *testing.T, n *Network, id string) {
		a := mustAttach(t, n, id)
		holdOpen(t, a.NetNS)
		if err := netns.Remove(a.NetNS); err != nil {
			t.Fatal(err)
		}
	},
	"nothing": func(*testing.T, *Network, string) {},
}

// holdOpen keeps the namespace alive, as a task in it would.
func holdOpen(t *testing.T, path string) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
}

func TestAttachRepairsWhatIsHalfMade(t *testing.T) {
	isolated(t, func(t *testing.T) {
		run := runDir(t)
		n := newNetwork(t, run)
		serve(t, "", "10.0.1.1:81")
		for name, breakIt := range halfMade {
			id := "web-1-1"
			breakIt(t, n, id)
			again := newNetwork(t, run) // the process is started again
			if ids, err := again.List(t.Context()); err != nil || name != "nothing" && !slices.Equal(ids, []string{id}) {
				t.Errorf("%s: List %v %v", name, ids, err)
			}
			a := mustAttach(t, again, id)
			start := time.Now()
			if got := ask(t, a.NetNS, "10.0.1.1:81"); got != a.Address.Addr().String() {
				t.Errorf("%s: seen as %s, want %s", name, got, a.Address)
			}
			assertMAC(t, a)
			t.Logf("%s: answer after %v", name, time.Since(start))
			if twice := mustAttach(t, again, id); twice != a {
				t.Errorf("%s: second Attach %+v, first %+v", name, twice, a)
			}
			if err := again.Detach(t.Context(), id); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			assertNothingLeft(t, again, run)
		}
	})
}

// assertMAC demands the MAC that only this address has: a link that was made for another must not keep that one's.
func assertMAC(t *testing.T, a host.Attachment) {
	t.Helper()
	h, err := netns.Enter(a.NetNS)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	l, err := h.LinkByName(taskLink)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := l.Attrs().HardwareAddr.String(), taskMAC(a.Address.Addr()).String(); got != want {
		t.Errorf("link of %s has MAC %s, want %s", a.Address, got, want)
	}
}

func TestDetachRemovesWhatIsHalfMade(t *testing.T) {
	isolated(t, func(t *testing.T) {
		run := runDir(t)
		n := newNetwork(t, run)
		for name, breakIt := range halfMade {
			breakIt(t, n, "web-1-1")
			again := openNetwork(t, run) // Detach must work before Configure
			for range 2 {
				if err := again.Detach(t.Context(), "web-1-1"); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			assertNothingLeft(t, again, run)
			if t.Failed() {
				t.Fatalf("after %s", name)
			}
		}
	})
}

func TestRestartKeepsAddresses(t *testing.T) {
	isolated(t, func(t *testing.T) {
		run := runDir(t)
		n := newNetwork(t, run)
		a, b := mustAttach(t, n, "a"), mustAttach(t, n, "b")
		again := newNetwork(t, run)
		fresh := mustAttach(t, again, "new")
		if fresh.Address == a.Address || fresh.Address == b.Address {
			t.Errorf("%s is in use", fresh.Address)
		}
		if got := mustAttach(t, again, "a"); got != a {
			t.Errorf("after a restart %+v, before %+v", got, a)
		}
	})
}

func TestLinkIsFoundWithoutItsFile(t *testing.T) {
	isolated(t, func(t *testing.T) {
		run := runDir(t)
		n := newNetwork(t, run)
		a := mustAttach(t, n, "lost")
		holdOpen(t, a.NetNS)
		if err := netns.Remove(a.NetNS); err != nil {
			t.Fatal(err)
		}
		again := openNetwork(t, run)
		if ids, err := again.List(t.Context()); err != nil || !slices.Equal(ids, []string{"lost"}) {
			t.Fatalf("List: %v %v", ids, err)
		}
		if err := again.Detach(t.Context(), "lost"); err != nil {
			t.Fatal(err)
		}
		assertNothingLeft(t, again, run)
	})
}

func TestOpenRemovesALinkThatNobodyCanName(t *testing.T) {
	isolated(t, func(t *testing.T) {
		run := runDir(t)
		n := newNetwork(t, run)
		halfMade["link without name and address"](t, n, "a")
		holdOpen(t, n.netnsPath("a"))
		if err := netns.Remove(n.netnsPath("a")); err != nil {
			t.Fatal(err)
		}
		assertNothingLeft(t, openNetwork(t, run), run)
	})
}
