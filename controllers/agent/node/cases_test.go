package node

import (
	"context"
	"errors"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/control/controltest"
	"warren.io/warren/runtime/host"
)

// machine is always the same; it notes how its network is set up.
type machine struct {
	host.Network
	c      *controltest.Case
	refuse string
}

// Facts implements host.Machine.
func (machine) Facts() host.Facts {
	return host.Facts{OS: "linux", Arch: "arm64", Hostname: "edge", Kernel: "6.1", Version: "1", Capacity: v1.ResourceList{CPU: 4000, Memory: meta.Bytes(1 << 30)}}
}

// Configure implements host.Network.
func (m machine) Configure(_ context.Context, c host.NetworkConfig) error {
	m.c.Seen = map[string]string{"subnet": c.Subnet.String()}
	if m.refuse != "" {
		return errors.New(m.refuse)
	}
	return nil
}

func TestCases(t *testing.T) {
	controltest.Run(t, func(t *testing.T, c *controltest.Case) control.Controller {
		m := machine{c: c}
		c.Decode(t, "refuse", &m.refuse)
		return Controller{Node: "n1", Cluster: "x", Machine: m, Network: m, Pace: func(time.Duration) {}, Role: v1.RoleWorker, Wish: func(v1.Role) {}}
	})
}
