package network

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

const (
	bridgeName = "warren0"
	linkPrefix = "wv"   // of every veth end on the node's side
	taskLink   = "eth0" // the other end, in the task's namespace
	maxID      = 200    // the longest id; a link's alias holds 255 bytes
)

var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// linkName is the name of the node's end of the veth of id: an interface name has at most 15 characters, an id many more.
func linkName(instance, id string) string {
	sum := sha256.Sum256([]byte(instance + "/" + id))
	return linkPrefix + lowerBase32.EncodeToString(sum[:])[:13]
}

// linkAlias is kept with the link, so that the id can be read from a link alone.
func linkAlias(instance, id string) string { return "warren/" + instance + "/" + id }

// parseAlias is the inverse of linkAlias; ok is false for the alias of anything else.
func parseAlias(alias string) (instance, id string, ok bool) {
	rest, ok := strings.CutPrefix(alias, "warren/")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "/")
}

// checkID refuses what cannot be a file name in the netns directory.
func checkID(id string) error {
	if id == "" || len(id) > maxID || strings.HasPrefix(id, ".") || strings.ContainsAny(id, "/\x00") {
		return fmt.Errorf("attachment id %q: must have 1 to %d characters, no slash and no leading dot", id, maxID)
	}
	return nil
}

// taskMAC depends on the address only: when an address is used again, no neighbour remembers a wrong MAC.
func taskMAC(a netip.Addr) net.HardwareAddr {
	ip := a.As4()
	return net.HardwareAddr{0x02, 0x57, ip[0], ip[1], ip[2], ip[3]}
}

// bridgeMAC is set on the bridge: left alone, a bridge changes its MAC whenever a task comes or goes.
func bridgeMAC(instance string) net.HardwareAddr {
	sum := sha256.Sum256([]byte("bridge/" + instance))
	return net.HardwareAddr{0x02, 0x58, sum[0], sum[1], sum[2], sum[3]}
}
