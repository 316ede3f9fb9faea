package nftables

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
)

// Docker and others set iptables' FORWARD chain to drop what they do not know, so a machine that has them would cut off our
// tasks. An accept in our own table cannot help: a packet must pass every chain of the hook. So our two rules go to the top of
// that one chain, as Docker's own do.
const forwardComment = "warren"

// acceptForward lets traffic of bridge pass iptables' FORWARD chain if that drops by default, and names other such chains.
func acceptForward(c *nftables.Conn, bridge string) (blockers []string, err error) {
	chains, err := forwardDroppers(c)
	if err != nil {
		return nil, err
	}
	for _, chain := range chains {
		if !isIptables(chain) {
			blockers = append(blockers, chain.Table.Name+"/"+chain.Name)
			continue
		}
		if err := insertAccept(c, chain, bridge); err != nil {
			return nil, err
		}
	}
	return blockers, nil
}

// insertAccept puts the rules there, or leaves them when they are.
func insertAccept(c *nftables.Conn, chain *nftables.Chain, bridge string) error {
	in, out := forwardComment+": from "+bridge, forwardComment+": to "+bridge
	have, err := c.GetRules(chain.Table, chain)
	if err != nil {
		return fmt.Errorf("read chain %s: %w", chain.Name, err)
	}
	found := 0
	for _, r := range have {
		if hasComment(r, in) || hasComment(r, out) {
			found++
		}
	}
	if found == 2 {
		return nil
	}
	if err := deleteOurs(c, have); err != nil {
		return err
	}
	c.InsertRule(acceptRule(chain, expr.MetaKeyIIFNAME, bridge, in))
	c.InsertRule(acceptRule(chain, expr.MetaKeyOIFNAME, bridge, out))
	return c.Flush()
}

func acceptRule(chain *nftables.Chain, key expr.MetaKey, bridge, comment string) *nftables.Rule {
	return &nftables.Rule{Table: chain.Table, Chain: chain,
		UserData: userdata.AppendString(nil, userdata.TypeComment, comment),
		Exprs: []expr.Any{
			&expr.Meta{Key: key, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: interfaceName(bridge)},
			&expr.Counter{}, // iptables lists only rules that count
			&expr.Verdict{Kind: expr.VerdictAccept},
		}}
}

// withdrawForward deletes our rules from the FORWARD chain of iptables, whatever its policy has become.
func withdrawForward(c *nftables.Conn) error {
	chains, err := c.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return fmt.Errorf("list chains: %w", err)
	}
	for _, chain := range chains {
		if !isIptables(chain) {
			continue
		}
		have, err := c.GetRules(chain.Table, chain)
		if err != nil {
			return fmt.Errorf("read chain %s: %w", chain.Name, err)
		}
		if err := deleteOurs(c, have); err != nil {
			return err
		}
	}
	return c.Flush()
}

// deleteOurs queues the deletion of our rules; the caller flushes.
func deleteOurs(c *nftables.Conn, rules []*nftables.Rule) error {
	for _, r := range rules {
		comment, _ := userdata.GetString(r.UserData, userdata.TypeComment)
		if len(comment) < len(forwardComment)+1 || comment[:len(forwardComment)+1] != forwardComment+":" {
			continue
		}
		if err := c.DelRule(r); err != nil {
			return fmt.Errorf("delete rule %d of chain %s: %w", r.Handle, r.Chain.Name, err)
		}
	}
	return nil
}

// forwardDroppers returns the IPv4 forward chains of others that drop what no rule accepts.
func forwardDroppers(c *nftables.Conn) ([]*nftables.Chain, error) {
	var out []*nftables.Chain
	for _, family := range []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyINet} {
		chains, err := c.ListChainsOfTableFamily(family)
		if err != nil {
			return nil, fmt.Errorf("list chains: %w", err)
		}
		for _, chain := range chains {
			forward := chain.Hooknum != nil && *chain.Hooknum == *nftables.ChainHookForward
			drops := chain.Policy != nil && *chain.Policy == nftables.ChainPolicyDrop
			if forward && drops && chain.Table.Name != TableName {
				out = append(out, chain)
			}
		}
	}
	return out, nil
}

func isIptables(c *nftables.Chain) bool {
	return c.Table.Family == nftables.TableFamilyIPv4 && c.Table.Name == "filter" && c.Name == "FORWARD"
}
