// Package nftables owns Warren's packet rules: the table "ip warren", and tagged accept rules in an iptables FORWARD chain
// that drops by default. It works in the network namespace of the calling process.
//
// Every function compares with what the kernel has before it writes, so that asking again for the same rules changes nothing.
package nftables

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// TableName is the name of our own table, of family ip.
const TableName = "warren"

const egressChain = "egress"

// Egress says which tasks may speak to the world outside of their node, and by which bridge they are connected.
type Egress struct {
	Subnet netip.Prefix // of the tasks, IPv4
	Bridge string       // name of their bridge; traffic that stays on it keeps its source address
}

// Set makes the rules for e: packets of the subnet that leave by anything but the bridge get the address of the link they
// leave by, and forwarding to and from the bridge is let through where iptables drops by default. It returns the names of
// other forward chains that drop by default; they belong to the administrator and are left alone.
func (e Egress) Set() (blockers []string, err error) {
	c, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	if err := e.setMasquerade(c); err != nil {
		return nil, fmt.Errorf("set outbound NAT for %s: %w", e.Subnet, err)
	}
	blockers, err = acceptForward(c, e.Bridge)
	if err != nil {
		return nil, fmt.Errorf("accept forwarding of %s: %w", e.Bridge, err)
	}
	return blockers, nil
}

func (e Egress) setMasquerade(c *nftables.Conn) error {
	if !e.Subnet.IsValid() || !e.Subnet.Addr().Is4() {
		return fmt.Errorf("subnet %s is not IPv4", e.Subnet)
	}
	table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: TableName}
	chain := &nftables.Chain{Name: egressChain, Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource}
	comment := fmt.Sprintf("outbound %s not on %s", e.Subnet.Masked(), e.Bridge)
	if rules, err := c.GetRules(table, chain); err == nil && len(rules) == 1 && hasComment(rules[0], comment) {
		return nil
	}
	c.AddTable(table)
	c.AddChain(chain)
	c.FlushChain(chain)
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: e.masquerade(),
		UserData: userdata.AppendString(nil, userdata.TypeComment, comment)})
	return c.Flush()
}

// masquerade is: ip saddr SUBNET oifname != BRIDGE masquerade.
func (e Egress) masquerade() []expr.Any {
	subnet := e.Subnet.Masked()
	mask := net.CIDRMask(subnet.Bits(), 32)
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: binaryutil.BigEndian.PutUint32(0)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: subnet.Addr().AsSlice()},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: interfaceName(e.Bridge)},
		&expr.Masq{},
	}
}

// Remove deletes our table and our rules in the chains of others. Nothing there is no error.
func Remove() error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	if err := withdrawForward(c); err != nil {
		return fmt.Errorf("withdraw forward rules: %w", err)
	}
	c.DelTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: TableName})
	if err := c.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("delete table %s: %w", TableName, err)
	}
	return nil
}

func hasComment(r *nftables.Rule, want string) bool {
	got, ok := userdata.GetString(r.UserData, userdata.TypeComment)
	return ok && got == want
}

// interfaceName is the form in which the kernel compares whole interface names.
func interfaceName(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b[:unix.IFNAMSIZ-1], name)
	return b
}
