package network

import (
	"errors"
	"net/netip"
	"sync"
)

// errFull means that every address of the subnet is in use.
var errFull = errors.New("no free address in the subnet")

// addresses remembers who has which address. It is a copy of what the machine says, never stored.
// A freed address comes last in the round, so that a peer that still believes in the old owner does not meet the new one.
type addresses struct {
	mu   sync.Mutex
	byID map[string]netip.Prefix
	ids  map[netip.Addr]string
	last netip.Addr
}

func newAddresses() *addresses {
	return &addresses{byID: map[string]netip.Prefix{}, ids: map[netip.Addr]string{}}
}

// adopt records what was found on the machine and reports whether id may keep it: two ids cannot have one address.
func (a *addresses) adopt(id string, p netip.Prefix) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if owner, taken := a.ids[p.Addr()]; taken && owner != id {
		return false
	}
	a.set(id, p)
	if a.last.Less(p.Addr()) {
		a.last = p.Addr()
	}
	return true
}

// take returns the address that id has already, or want if that is free, or the next free one.
func (a *addresses) take(subnet netip.Prefix, id string, want netip.Addr) (netip.Prefix, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p, ok := a.byID[id]; ok && p.Masked() == subnet {
		return p, nil
	}
	if !a.free(subnet, want) {
		var err error
		if want, err = a.next(subnet); err != nil {
			return netip.Prefix{}, err
		}
		a.last = want
	}
	p := netip.PrefixFrom(want, subnet.Bits())
	a.set(id, p)
	return p, nil
}

// release forgets id.
func (a *addresses) release(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p, ok := a.byID[id]; ok {
		delete(a.ids, p.Addr())
		delete(a.byID, id)
	}
}

// outside returns one id whose address does not belong to subnet.
func (a *addresses) outside(subnet netip.Prefix) (id string, p netip.Prefix, found bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for candidate, q := range a.byID {
		if q.Masked() != subnet && (!found || candidate < id) {
			id, p, found = candidate, q, true
		}
	}
	return id, p, found
}

func (a *addresses) set(id string, p netip.Prefix) {
	if old, ok := a.byID[id]; ok {
		delete(a.ids, old.Addr())
	}
	a.byID[id], a.ids[p.Addr()] = p, id
}

func (a *addresses) next(subnet netip.Prefix) (netip.Addr, error) {
	first := gateway(subnet).Next()
	candidate := first
	if subnet.Contains(a.last) {
		candidate = a.last.Next()
	}
	for range 1 << (32 - subnet.Bits()) {
		if a.free(subnet, candidate) {
			return candidate, nil
		}
		if candidate = candidate.Next(); !subnet.Contains(candidate) {
			candidate = first
		}
	}
	return netip.Addr{}, errFull
}

func (a *addresses) free(subnet netip.Prefix, addr netip.Addr) bool {
	if !addr.IsValid() || !subnet.Contains(addr) || addr == subnet.Masked().Addr() || addr == gateway(subnet) || addr == broadcast(subnet) {
		return false
	}
	_, taken := a.ids[addr]
	return !taken
}

// gateway is the first usable address: the bridge's own.
func gateway(subnet netip.Prefix) netip.Addr { return subnet.Masked().Addr().Next() }

// broadcast is the last address of an IPv4 subnet.
func broadcast(subnet netip.Prefix) netip.Addr {
	b := subnet.Masked().Addr().As4()
	for bit := subnet.Bits(); bit < 32; bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	return netip.AddrFrom4(b)
}
