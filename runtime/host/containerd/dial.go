package containerd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// dialLimit is how long a task on this machine may take to accept a connection.
const dialLimit = 5 * time.Second

// DialTask connects to a port of a task.
func (h *Host) DialTask(ctx context.Context, task string, port int) (net.Conn, error) {
	conn, err := h.dialTask(ctx, task, port)
	if err != nil {
		return nil, fmt.Errorf("connect to %s port %d: %w", task, port, err)
	}
	return conn, nil
}

func (h *Host) dialTask(ctx context.Context, task string, port int) (net.Conn, error) {
	if port < 1 || port > 65535 {
		return nil, errors.New("a port is a number from 1 to 65535")
	}
	s, err := h.inside(task)
	if err != nil {
		return nil, err
	}
	if !s.Address.IsValid() {
		return nil, errors.New("the task has no address")
	}
	conn, err := (&net.Dialer{Timeout: dialLimit}).DialContext(ctx, "tcp", netip.AddrPortFrom(s.Address, uint16(port)).String())
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("connection refused: nothing listens on %s there", s.Address)
	}
	return conn, err
}
