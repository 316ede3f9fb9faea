package server

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"google.golang.org/grpc/credentials"
)

// opened are gRPC credentials for connections whose handshake, if they need one, was done by the splitter. They tell
// handlers who the other side is (peer.FromContext).
type opened struct{}

// ServerHandshake implements credentials.TransportCredentials.
func (opened) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if g, ok := c.(*greeted); ok {
		if t, ok := g.Conn.(*tls.Conn); ok {
			info := credentials.TLSInfo{State: t.ConnectionState()}
			info.SecurityLevel = credentials.PrivacyAndIntegrity
			return c, info, nil
		}
	}
	who := local{credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}, -1}
	if g, ok := c.(*greeted); ok {
		who.uid = uidOf(g.Conn)
	}
	return c, who, nil
}

// ClientHandshake implements credentials.TransportCredentials; these credentials are a server's.
func (opened) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("these credentials are for servers only")
}

// Info implements credentials.TransportCredentials.
func (opened) Info() credentials.ProtocolInfo { return credentials.ProtocolInfo{} }

// Clone implements credentials.TransportCredentials.
func (o opened) Clone() credentials.TransportCredentials { return o }

// OverrideServerName implements credentials.TransportCredentials.
func (opened) OverrideServerName(string) error { return nil }

// local is the other side of a unix socket: file permissions have let it in.
type local struct {
	credentials.CommonAuthInfo
	uid int // of the process that connected, -1 if unknown
}

// AuthType implements credentials.AuthInfo.
func (local) AuthType() string { return "local" }
