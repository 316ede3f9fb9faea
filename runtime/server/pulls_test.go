package server

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/server/api"
	"warren.io/warren/runtime/store"
)

// fakePulls tells each watcher what is put into the channel that it offers.
type fakePulls chan chan []host.Pull

func (f fakePulls) WatchPulls(ctx context.Context, emit func([]host.Pull) error) error {
	own := make(chan []host.Pull)
	f <- own
	for {
		select {
		case all := <-own:
			if err := emit(all); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestPullsAreStreamed(t *testing.T) {
	pulls := make(fakePulls)
	f := serve(t, func(c *Config) { c.Pulls = pulls })
	s := f.dial(t)
	want := []host.Pull{{Name: "docker.io/library/a:1", Refs: []string{"a:1", "a:1@x"}, Phase: host.PullFetching, Done: 1, Total: 2, Rate: 3,
		Started: time.Unix(5, 6).UTC()}}
	go func() { (<-pulls) <- want }()
	if got, err := s.Pulls(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v", got, err)
	}
	said, ended := make(chan []host.Pull), make(chan error)
	go func() {
		ended <- s.WatchPulls(t.Context(), func(all []host.Pull) error { said <- all; return nil })
	}()
	watcher := <-pulls
	watcher <- nil
	if got := <-said; got == nil || len(got) != 0 {
		t.Errorf("%+v", got)
	}
	watcher <- want
	if got := <-said; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	f.shutdown(t)
	if err := <-ended; !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("at the end: %v", err)
	}
}

func TestNoPullsAreServed(t *testing.T) {
	if _, err := serve(t, nil).dial(t).Pulls(t.Context()); !errors.Is(err, api.ErrNotServed) {
		t.Error(err)
	}
}
