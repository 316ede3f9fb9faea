package containerd

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"warren.io/warren/runtime/host"
)

var errFrozen = errors.New("all tasks are being stopped")

// Set replaces the whole desired state.
func (h *Host) Set(_ context.Context, want []host.Task) error {
	byName := make(map[string]*host.Task, len(want))
	for _, t := range want {
		if t.Name == "" || byName[t.Name] != nil {
			return fmt.Errorf("set tasks: task name %q is empty or there twice", t.Name)
		}
		byName[t.Name] = &t
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.frozen {
		return fmt.Errorf("set tasks: %w", errFrozen)
	}
	if h.ctx.Err() != nil {
		return fmt.Errorf("set tasks: %w", h.ctx.Err())
	}
	if !h.ready {
		h.wish, h.known = slices.Clone(want), true
		return nil
	}
	first := !h.known
	h.known = true
	h.apply(byName)
	if first {
		for _, u := range h.units { // one that was adopted and is not wanted has had no change of its wish
			u.poke()
		}
		h.running.Go(h.sweep)
	}
	return nil
}

// apply hands every unit its part of the wish. The caller holds the lock.
func (h *Host) apply(byName map[string]*host.Task) {
	for name, u := range h.units {
		u.wishFor(byName[name])
	}
	for name, t := range byName {
		if h.units[name] == nil {
			u := h.newUnit(name)
			u.want = t
			u.state = (&record{uid: t.UID, attempt: t.Attempt, failures: t.Failures}).state(name, host.Pulling)
			h.launch(u)
		}
	}
}

func (h *Host) newUnit(name string) *unit {
	u := &unit{h: h, name: name, wake: make(chan struct{}, 1)}
	h.units[name] = u
	return u
}

func (h *Host) launch(u *unit) {
	h.running.Go(func() {
		for u.step() {
		}
	})
}

// Observe returns what is there, sorted by name.
func (h *Host) Observe(context.Context) ([]host.State, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ready {
		return nil, host.ErrNotReady
	}
	states := make([]host.State, 0, len(h.units))
	for _, u := range h.units {
		states = append(states, u.state)
	}
	slices.SortFunc(states, func(a, b host.State) int { return strings.Compare(a.Name, b.Name) })
	return states, nil
}

// wait returns when done, which is called with the lock held, says so.
func (h *Host) wait(ctx context.Context, done func() bool) error {
	tick := time.NewTicker(10 * time.Millisecond) // only for commands that end the node
	defer tick.Stop()
	for {
		h.mu.Lock()
		ok := done()
		h.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-h.ctx.Done():
			return h.ctx.Err()
		case <-tick.C:
		}
	}
}

// wishFor takes a new wish. The caller holds the lock.
func (u *unit) wishFor(t *host.Task) {
	if reflect.DeepEqual(u.want, t) {
		return
	}
	u.want = t
	if u.interrupt != nil {
		u.interrupt()
	}
	u.poke()
}

// poke lets the unit look at its wish again.
func (u *unit) poke() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}
