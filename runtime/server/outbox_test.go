package server

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// reader is the sending end of an outbox: it takes a message as long as it takes.
func reader(ctx context.Context, each time.Duration, got *int) *outbox[int] {
	return newOutbox(ctx, 4, func(int, <-chan int) error {
		select {
		case <-time.After(each):
			*got++
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

func fill(ctx context.Context, o *outbox[int], n int, patience time.Duration) error {
	for i := range n {
		if err := o.put(ctx, i, patience); err != nil {
			return err
		}
	}
	return nil
}

func TestOutboxPatience(t *testing.T) {
	const patience = 10 * time.Second
	tests := []struct {
		name string
		each time.Duration // that the reader takes for a message
		n    int
		want error
	}{
		{"fast", time.Millisecond, 1000, nil},
		{"slow for a while", time.Second, 30, nil},
		{"slow for too long", time.Second, 100, errSlow},
		{"stuck", time.Hour, 100, errSlow},
		{"stuck with little to read", time.Hour, 4, nil},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				got := 0
				o := reader(ctx, x.each, &got)
				time.Sleep(time.Hour) // idle: that it was long ago that anything was sent is no slowness
				begin := time.Now()
				err := fill(ctx, o, x.n, patience)
				if !errors.Is(err, x.want) {
					t.Fatalf("put: %v", err)
				}
				if d := time.Since(begin); d > behindFor*patience {
					t.Fatalf("it waited %v", d)
				}
				if x.want == nil {
					if err := o.finish(ctx, nil); err != nil || got != x.n {
						t.Fatalf("%d of %d messages, %v", got, x.n, err)
					}
				}
			})
		})
	}
}

func TestOutboxEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		got, stop := 0, errors.New("stop")
		o := reader(ctx, time.Hour, &got)
		_ = fill(ctx, o, 3, 0)
		begin := time.Now()
		if err := o.finish(ctx, stop); err != stop || time.Since(begin) != lastWords {
			t.Errorf("after an error: %v in %v", err, time.Since(begin))
		}
		cancel()
		<-o.ended

		o = newOutbox(t.Context(), 1, func(int, <-chan int) error { panic("a bug") })
		if err := fill(t.Context(), o, 9, 0); err == nil || err.Error() != "send: a bug" {
			t.Errorf("a panic of the sender: %v", err)
		}
		o = newOutbox(t.Context(), 1, func(int, <-chan int) error { return stop })
		if err := fill(t.Context(), o, 9, 0); err != stop {
			t.Errorf("an error of the sender: %v", err)
		}
	})
}
