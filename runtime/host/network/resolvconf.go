package network

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

const (
	defaultResolvConf = "/etc/resolv.conf"
	// resolvedConf has the real servers on machines where systemd-resolved puts only 127.0.0.53 into /etc/resolv.conf.
	resolvedConf = "/run/systemd/resolve/resolv.conf"
	noServers    = "# warren: this host's resolv.conf names no server that a task could reach\n"
)

// hostResolvConf is what tasks get, made from the host's own file.
func hostResolvConf(path string) []byte {
	raw, err := os.ReadFile(path)
	out, servers := taskResolvConf(raw)
	if servers > 0 || path != defaultResolvConf {
		return out
	}
	if err == nil {
		raw, err = os.ReadFile(resolvedConf)
	}
	if alt, n := taskResolvConf(raw); err == nil && n > 0 {
		return alt
	}
	return out
}

// taskResolvConf keeps the search and options lines, and of the servers those that a task can reach: a task has its own
// loopback and speaks IPv4 only.
func taskResolvConf(raw []byte) (out []byte, servers int) {
	var b bytes.Buffer
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(fields[1]); err == nil && a.Is4() && !a.IsLoopback() && !a.IsUnspecified() {
				fmt.Fprintf(&b, "nameserver %s\n", a)
				servers++
			}
		case "search", "domain", "options":
			fmt.Fprintln(&b, strings.Join(fields, " "))
		}
	}
	if servers == 0 {
		b.WriteString(noServers)
	}
	return b.Bytes(), servers
}

// writeInPlace changes the file without giving it a new inode: running tasks have this inode mounted and see the new servers.
func writeInPlace(path string, content []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(content); err != nil {
		return err
	}
	return f.Truncate(int64(len(content)))
}
