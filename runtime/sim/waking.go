package sim

import (
	"context"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/fake"
)

// waking is a machine that tells its node when a wish gave it something to do.
type waking struct {
	*fake.Machine
	n *node
}

// Set implements host.Tasks.
func (m *waking) Set(ctx context.Context, want []host.Task) error {
	err := m.Machine.Set(ctx, want)
	m.n.wake()
	return err
}
