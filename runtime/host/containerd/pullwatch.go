package containerd

import (
	"context"
	"reflect"
	"time"

	"warren.io/warren/runtime/host"
)

var _ host.Pulls = (*Host)(nil)

// sampleEvery is how often the counters of a pull are read while somebody watches.
const sampleEvery = 250 * time.Millisecond

// WatchPulls implements host.Pulls. While nothing is fetched it sleeps until something is.
func (h *Host) WatchPulls(ctx context.Context, emit func([]host.Pull) error) error {
	var last []host.Pull
	for first := true; ; first = false {
		changed := h.images.source.Changed()
		now := h.images.source.Pulls()
		if first || !reflect.DeepEqual(now, last) {
			if err := emit(now); err != nil {
				return err
			}
			last = now
		}
		var sample <-chan time.Time
		if len(now) > 0 {
			sample = time.After(sampleEvery)
		}
		select {
		case <-changed:
		case <-sample:
		case <-ctx.Done():
			return ctx.Err()
		case <-h.ctx.Done():
			return h.ctx.Err()
		}
	}
}
