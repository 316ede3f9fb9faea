package hosts

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"syscall"

	"github.com/vishvananda/netlink"

	"warren.io/warren/runtime/host/network/netns"
)

// oneWay is the table of the switch that drops what passes one way only. A table of the bridge family sees all frames of a
// port, those to and from the switch itself, too; tc has no classifier in every kernel.
const oneWay = "oneway"

// Mute drops everything that the host sends: it hears the others and nobody hears it. Heal undoes it.
func (h *Host) Mute() error { return h.drop("prerouting", "iifname") }

// Deafen drops everything that is sent to the host: the others hear it, and it hears nobody. Heal undoes it.
func (h *Host) Deafen() error { return h.drop("postrouting", "oifname") }

func (h *Host) drop(hook, match string) error {
	chain := hook + "-" + h.Name
	return h.nft(fmt.Sprintf("add table bridge %s\nadd chain bridge %s %s { type filter hook %s priority 0; }\nadd rule bridge %s %s %s %q drop\n",
		oneWay, oneWay, chain, hook, oneWay, chain, match, h.port()))
}

// bothWays undoes Mute and Deafen.
func (h *Host) bothWays() error {
	commands := fmt.Sprintf("add table bridge %s\n", oneWay)
	for _, hook := range []string{"prerouting", "postrouting"} {
		chain := hook + "-" + h.Name
		commands += fmt.Sprintf("add chain bridge %s %s { type filter hook %s priority 0; }\nflush chain bridge %s %s\ndelete chain bridge %s %s\n",
			oneWay, chain, hook, oneWay, chain, oneWay, chain)
	}
	return h.nft(commands)
}

// nft runs commands in the switch, all or none.
func (h *Host) nft(commands string) error {
	if !netns.Is(h.bench.nsPath(switchName)) {
		return nil // a bench that was begun and not made
	}
	file, err := os.CreateTemp(h.bench.dir, "nft-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.WriteString(commands)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	out, err := exec.Command("nsenter", "--net="+h.bench.nsPath(switchName), "--", "nft", "-f", file.Name()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("rules of the switch for %s: %w: %s", h.Name, err, out)
	}
	return nil
}

// Move gives the host another address at once, as a lease that ran out does: what was connected hangs.
func (h *Host) Move() error {
	inside, err := netns.Enter(h.NetNS)
	if err != nil {
		return err
	}
	defer inside.Close()
	link, err := inside.LinkByName("eth0")
	if err != nil {
		return fmt.Errorf("move %s: %w", h.Name, err)
	}
	h.bench.moves++
	next := h.Address.Addr().As4()
	next[3] = byte(lastMoved - h.bench.moves)
	from, to := h.Address, netip.PrefixFrom(netip.AddrFrom4(next), subnetBits)
	old, err := netlink.ParseAddr(from.String())
	if err != nil {
		return err
	}
	if err := inside.AddrDel(link, old); err != nil {
		return fmt.Errorf("move %s: %w", h.Name, err)
	}
	h.Address = to
	if err := bringUp(inside, "eth0", to); err != nil {
		return err
	}
	return inside.RouteReplace(&netlink.Route{Gw: netip.MustParseAddr(gatewayAddr).AsSlice()})
}

// Pause stops the processes of these kinds as SIGSTOP does; Resume lets them go on. Kill and Reboot end paused ones, too.
func (h *Host) Pause(kinds ...Kind) error { return h.signal(syscall.SIGSTOP, kinds) }

// Resume undoes Pause.
func (h *Host) Resume(kinds ...Kind) error { return h.signal(syscall.SIGCONT, kinds) }

func (h *Host) signal(sig syscall.Signal, kinds []Kind) error {
	all, err := h.Processes()
	if err != nil {
		return err
	}
	found := false
	for _, p := range all {
		for _, k := range kinds {
			if p.Kind != k {
				continue
			}
			found = true
			if err := syscall.Kill(p.PID, sig); err != nil {
				return fmt.Errorf("signal %d of %s: %w", p.PID, h.Name, err)
			}
		}
	}
	if !found {
		return fmt.Errorf("signal %v on %s: none of %v runs", sig, h.Name, kinds)
	}
	return nil
}
