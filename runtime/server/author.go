package server

import (
	"net"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

// name is what people call the user of a process on this machine.
func (l local) name() string {
	if l.uid < 0 {
		return "a user of this machine"
	}
	id := strconv.Itoa(l.uid)
	if u, err := user.LookupId(id); err == nil {
		return "user " + u.Username
	}
	return "user " + id
}

// uidOf asks the kernel who connected to a unix socket; -1 where it does not know.
func uidOf(c net.Conn) int {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return -1
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return -1
	}
	uid := -1
	err = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid = int(cred.Uid)
		}
	})
	if err != nil {
		return -1
	}
	return uid
}
