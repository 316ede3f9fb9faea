package network

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAddressesSkipReservedAndCycle(t *testing.T) {
	a, subnet := newAddresses(), netip.MustParsePrefix("10.0.1.0/29") // .1 is the gateway, .7 broadcast: .2 to .6 are free
	for i, want := range []string{"10.0.1.2/29", "10.0.1.3/29", "10.0.1.4/29", "10.0.1.5/29", "10.0.1.6/29"} {
		if got, err := a.take(subnet, string(rune('a'+i)), netip.Addr{}); err != nil || got.String() != want {
			t.Fatalf("take %d: got %v %v, want %s", i, got, err, want)
		}
	}
	if _, err := a.take(subnet, "f", netip.Addr{}); !errors.Is(err, errFull) {
		t.Fatalf("full subnet: got %v", err)
	}
	a.release("b")
	a.release("d")
	if got, _ := a.take(subnet, "f", netip.Addr{}); got.Addr().String() != "10.0.1.3" {
		t.Fatalf("after release: got %v", got)
	}
}

func TestAddressIsNotReusedAtOnce(t *testing.T) {
	a, subnet := newAddresses(), netip.MustParsePrefix("10.0.1.0/24")
	first, _ := a.take(subnet, "a", netip.Addr{})
	a.release("a")
	if second, _ := a.take(subnet, "b", netip.Addr{}); second == first {
		t.Fatalf("address %s was handed out again at once", first)
	}
}

func TestAddressWanted(t *testing.T) {
	subnet := netip.MustParsePrefix("10.0.1.0/24")
	for _, c := range []struct{ want, got string }{
		{"10.0.1.77", "10.0.1.77/24"},
		{"10.0.1.0", "10.0.1.2/24"},   // network
		{"10.0.1.1", "10.0.1.2/24"},   // gateway
		{"10.0.1.255", "10.0.1.2/24"}, // broadcast
		{"10.0.2.5", "10.0.1.2/24"},   // elsewhere
		{"10.0.1.9", "10.0.1.2/24"},   // taken
	} {
		a := newAddresses()
		a.adopt("other", netip.MustParsePrefix("10.0.1.9/24"))
		a.last = netip.Addr{}
		if got, err := a.take(subnet, "x", netip.MustParseAddr(c.want)); err != nil || got.String() != c.got {
			t.Errorf("want %s: got %v %v, not %s", c.want, got, err, c.got)
		}
	}
}

func TestAddressStaysWithItsID(t *testing.T) {
	a, subnet := newAddresses(), netip.MustParsePrefix("10.0.1.0/24")
	first, _ := a.take(subnet, "a", netip.Addr{})
	if again, _ := a.take(subnet, "a", netip.MustParseAddr("10.0.1.200")); again != first {
		t.Fatalf("got %s, had %s", again, first)
	}
	if a.adopt("b", first) {
		t.Fatal("two ids have one address")
	}
	if _, p, found := a.outside(netip.MustParsePrefix("10.0.2.0/24")); !found || p != first {
		t.Fatalf("outside: got %v %v", p, found)
	}
}

func TestLinkNames(t *testing.T) {
	seen := map[string]bool{}
	for _, id := range []string{"web-1-1", "web-1-2", strings.Repeat("x", maxID)} {
		for _, instance := range []string{"00000000", "11111111"} {
			name := linkName(instance, id)
			if len(name) > 15 || !strings.HasPrefix(name, linkPrefix) || seen[name] {
				t.Errorf("link name %q of %s/%s", name, instance, id)
			}
			seen[name] = true
			if i, d, ok := parseAlias(linkAlias(instance, id)); !ok || i != instance || d != id {
				t.Errorf("alias of %s/%s reads back as %s/%s", instance, id, i, d)
			}
			if len(linkAlias(instance, id)) > 255 {
				t.Errorf("alias of %s is too long for the kernel", id)
			}
		}
	}
	for _, bad := range []string{"", ".", "..", "a/b", ".hidden", strings.Repeat("x", maxID+1)} {
		if checkID(bad) == nil {
			t.Errorf("id %q was accepted", bad)
		}
	}
}

func TestTaskResolvConf(t *testing.T) {
	for _, c := range []struct{ in, out string }{
		{"nameserver 192.0.2.53\n", "nameserver 192.0.2.53\n"},
		{"# x\nsearch corp.example\nnameserver 127.0.0.53\nnameserver  192.0.2.53 \noptions edns0\n", "search corp.example\nnameserver 192.0.2.53\noptions edns0\n"},
		{"nameserver 127.0.0.1\nnameserver ::1\nnameserver fe80::1%eth0\nnameserver 2001:db8::53\n", noServers},
		{"nameserver\nnameserver rubbish\n\x00\n", noServers},
		{"", noServers},
	} {
		if got, _ := taskResolvConf([]byte(c.in)); string(got) != c.out {
			t.Errorf("%q: got %q, want %q", c.in, got, c.out)
		}
	}
}

func TestResolvConfKeepsItsInode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	for _, content := range []string{"nameserver 192.0.2.1\nnameserver 192.0.2.2\n", "nameserver 192.0.2.1\n", noServers} {
		before, _ := os.Stat(path)
		if err := writeInPlace(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		after, err := os.Stat(path)
		if err != nil || before != nil && !os.SameFile(before, after) {
			t.Fatalf("the file was replaced (%v): a task that has it mounted would not see the change", err)
		}
		if got, _ := os.ReadFile(path); string(got) != content {
			t.Fatalf("got %q, want %q", got, content)
		}
	}
}
