package warrenctl

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/store"
)

// follow prints lines as they come, of tasks that start later too, until all tasks that were named are gone; with a
// service that is never.
func (l *logs) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l.out.prefix = l.several()
	reading := map[string]bool{}
	var running sync.WaitGroup
	begin := func(o meta.Object) {
		if t, ok := o.(*v1.Task); ok && l.wants(o) && !t.Status.StartedAt.IsZero() && !reading[t.Metadata.Name] {
			reading[t.Metadata.Name] = true
			running.Go(func() {
				if err := l.keepReading(ctx, t.Metadata.Name); err != nil {
					cancel(err)
				}
			})
		}
	}
	told := false
	err := l.p.changes(ctx, l.view(), func(all []meta.Object) error {
		for _, o := range all {
			begin(o)
		}
		if len(reading) == 0 && !told {
			l.p.note("nothing%s has run yet; waiting", l.chosen())
		}
		told = true
		return nil
	}, func(c store.Change) error {
		if begin(c.Object); c.Object == nil {
			delete(l.tasks, c.Key.Name)
		}
		if len(l.tasks)+len(l.services) == 0 && l.labels == "" {
			return errSettled
		}
		return nil
	})
	if errors.Is(err, errSettled) {
		running.Wait()
		return nil
	}
	cause := context.Cause(ctx)
	cancel(nil)
	running.Wait()
	if cause != nil {
		return cause
	}
	return err
}

// keepReading follows one task over lost connections; what was printed is not printed again, and nothing is left out: lines
// may have the same time, so those of the last one are asked for again and the ones that were printed passed over.
func (l *logs) keepReading(ctx context.Context, task string) error {
	o := l.options
	o.Follow = true
	printed := 0 // lines that have the time of the last one
	for {
		pass := printed
		err := l.s.Logs(ctx, task, o, func(x host.LogLine) error {
			if x.Stream == host.Notice {
				l.out.line(task, x)
				return nil
			}
			same := x.Time.Equal(o.Since)
			if same && pass > 0 {
				pass--
				return nil
			}
			if !same {
				printed = 0
			}
			l.out.line(task, x)
			printed++
			o.Since, o.Tail = x.Time, -1
			return nil
		})
		switch {
		case err == nil || errors.Is(err, host.ErrNotFound) || ctx.Err() != nil:
			return nil
		case !errors.Is(err, store.ErrUnavailable):
			return fmt.Errorf("logs of %s: %w", task, err)
		}
		if pause(ctx) != nil {
			return nil
		}
	}
}
