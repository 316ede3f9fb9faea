package server

import (
	"context"
	"net"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"warren.io/warren/runtime/store"
)

// signed makes what a call commits its caller's.
func signed(ctx context.Context) context.Context {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ctx
	}
	switch who := p.AuthInfo.(type) {
	case local:
		return store.As(ctx, who.name())
	case credentials.TLSInfo:
		if certs := who.State.PeerCertificates; len(certs) > 0 {
			return store.As(ctx, "key "+certs[0].Subject.CommonName)
		}
	}
	return ctx
}

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
