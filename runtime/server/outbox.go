package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"warren.io/warren/runtime/store"
)

// errSlow ends a stream whose reader does not keep up. It counts as compacted: the reader shall list again.
var errSlow = fmt.Errorf("the reader of this watch did not keep up and was cut off, list again: %w", store.ErrCompacted)

// lastWords is how long a stream that ends may take to hear why.
const lastWords = time.Second

// behindFor is how many times its patience an outbox lets a reader be behind who goes on reading.
const behindFor = 4

// outbox sends in the background what a handler puts into it, so that a reader that is slow or stuck holds up nobody but
// itself, and then only for a while and with a bounded number of messages in memory.
type outbox[T any] struct {
	queue  chan T
	ended  chan struct{} // closed when the sender returned; err is set then
	err    error
	caught time.Time // when put last found the queue empty
}

// newOutbox begins to send, until finish or the end of ctx. send gets the next message and a way to take more of them.
func newOutbox[T any](ctx context.Context, size int, send func(next T, more <-chan T) error) *outbox[T] {
	o := &outbox[T]{queue: make(chan T, size), ended: make(chan struct{})}
	go o.run(ctx, send)
	return o
}

func (o *outbox[T]) run(ctx context.Context, send func(T, <-chan T) error) {
	defer close(o.ended)
	defer func() {
		if p := recover(); p != nil {
			o.err = fmt.Errorf("send: %v", p)
		}
	}()
	for {
		select {
		case m, ok := <-o.queue:
			if !ok {
				return
			}
			if o.err = send(m, o.queue); o.err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// put queues a message. When the queue is full it waits for room, but no longer than patience, and no longer
// than until behindFor times that after the queue was last seen empty. No patience means any: for readers behind whom nothing piles up.
func (o *outbox[T]) put(ctx context.Context, m T, patience time.Duration) error {
	if len(o.queue) == 0 {
		o.caught = time.Now()
	}
	select {
	case o.queue <- m:
		return nil
	default:
	}
	var late <-chan time.Time
	if patience > 0 {
		t := time.NewTimer(min(patience, time.Until(o.caught.Add(behindFor*patience))))
		defer t.Stop()
		late = t.C
	}
	select {
	case o.queue <- m:
		return nil
	case <-late:
		return errSlow
	case <-o.ended:
		return o.failure()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// failure is why the sender ended early.
func (o *outbox[T]) failure() error {
	if o.err == nil {
		return errors.New("send: ended")
	}
	return o.err
}

// finish says that nothing more will be put since err happened, or nil, and returns what the stream ends with. What was put
// is sent before that: after an error only if it does not take long, and not to a reader that was cut off for being slow.
func (o *outbox[T]) finish(ctx context.Context, err error) error {
	if errors.Is(err, errSlow) {
		return err
	}
	if err != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, lastWords)
		defer cancel()
	}
	close(o.queue)
	select {
	case <-o.ended:
	case <-ctx.Done():
	}
	if err != nil {
		return err
	}
	select {
	case <-o.ended:
		return o.err
	default:
		return context.Cause(ctx)
	}
}
