package main

import (
	"errors"
	"fmt"
	"net"
)

// somewhere is an address that nothing has: the way there is the way out of this machine.
const somewhere = "192.0.2.1:9"

// reachedAt is the HOST:PORT by which other machines reach this one: what the operator says, or where --listen is for all
// addresses, the one from which this machine would go to the others. Machines at the edge get other addresses; this is
// looked up at each start.
func reachedAt(listen, advertise string, others []string) (string, error) {
	if listen == "" || advertise != "" {
		return advertise, nil
	}
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	var all error
	for _, other := range append(others, somewhere) {
		c, err := net.Dial("udp", other) // sends nothing
		if err != nil {
			all = errors.Join(all, err)
			continue
		}
		host, _, err := net.SplitHostPort(c.LocalAddr().String())
		_ = c.Close()
		if ip := net.ParseIP(host); err == nil && ip != nil && !ip.IsLoopback() {
			return net.JoinHostPort(host, port), nil
		}
	}
	if host, err := onlyAddress(); err == nil {
		return net.JoinHostPort(host, port), nil
	}
	return "", fmt.Errorf("--listen %s: by which address other machines reach it cannot be seen: %w\ntry: --advertise HOST:PORT", listen, all)
}

// findAddress decides where this node listens, and by which address others reach it: by the command line, or as it joined.
func (n *node) findAddress() {
	if n.listen == "" {
		n.listen, n.advertise, _ = addresses(n.id.Listen, n.id.Advertise)
		n.named = n.id.Advertise
	}
	if n.listen == "" || n.advertise != "" {
		return
	}
	address, err := reachedAt(n.listen, n.advertise, n.id.Managers)
	if err != nil {
		n.log.Info("others cannot be told where this node is", "cause", err.Error())
		return
	}
	n.advertise = address
}

// onlyAddress is that of a machine that has one and no way out.
func onlyAddress() (string, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return "", err
	}
	var found []string
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			found = append(found, n.IP.String())
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("this machine has %d addresses", len(found))
	}
	return found[0], nil
}
