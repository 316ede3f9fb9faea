package main

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"warren.io/warren/runtime/host"
)

// running is a host with tasks; it notes what it is asked for.
type runningHost struct {
	states []host.State
	asked  []string
}

func (r *runningHost) Observe(context.Context) ([]host.State, error) { return r.states, nil }

func (r *runningHost) Set(_ context.Context, want []host.Task) error {
	r.asked = nil
	for _, t := range want {
		r.asked = append(r.asked, fmt.Sprintf("%s/%d/%d", t.Name, t.UID, t.Attempt))
	}
	slices.Sort(r.asked)
	return nil
}

func TestHolding(t *testing.T) {
	state := func(name string, uid int64, p host.Phase) host.State {
		return host.State{Name: name, UID: uid, Attempt: 2, Phase: p}
	}
	h := &runningHost{states: []host.State{state("known", 1, host.Running), state("deleted", 2, host.Running), state("lost", 3, host.Running),
		state("again", 4, host.Running), state("going", 5, host.Stopping)}}
	var told [][]string
	over := 0
	x := &holding{Tasks: h, told: func(names []string) { told = append(told, names) }, over: func() error { over++; return nil },
		known: func(_ context.Context, s host.State) (bool, error) { return s.Name == "deleted", nil }}
	want := []host.Task{{Name: "known", UID: 1, Attempt: 2}, {Name: "again", UID: 99, Attempt: 1}, {Name: "new", UID: 100, Attempt: 1}}
	for range 2 {
		if err := x.Set(t.Context(), slices.Clone(want)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(h.asked, []string{"again/4/2", "known/1/2", "lost/3/2", "new/100/1"}) {
			t.Errorf("asked for %q", h.asked)
		}
	}
	if len(told) != 1 || !slices.Equal(told[0], []string{"lost", "again"}) || over != 0 {
		t.Errorf("told %q, over %d", told, over)
	}
	h.states = h.states[:1]
	y := &holding{Tasks: h, known: x.known, told: x.told, over: x.over}
	for range 2 {
		if err := y.Set(t.Context(), want); err != nil {
			t.Fatal(err)
		}
	}
	if over != 1 || len(told) != 1 || len(h.asked) != 3 {
		t.Errorf("nothing to hold: over %d times, asked for %q", over, h.asked)
	}
}
