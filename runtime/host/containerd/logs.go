package containerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/containerd/tasklog"
)

// Read calls emit for each line that the task wrote, over all its attempts or in the one before the latest, oldest first.
func (h *Host) Read(ctx context.Context, task string, o host.LogOptions, emit func(host.LogLine) error) error {
	if task == "" || !fs.ValidPath(task) {
		return fmt.Errorf("read log of %q: %w", task, host.ErrNotFound)
	}
	opts := tasklog.Options{Follow: o.Follow, Tail: o.Tail, Since: o.Since}
	if o.Previous {
		from, until, err := h.previous(task)
		if err != nil {
			return fmt.Errorf("read log of %s: %w", task, err)
		}
		opts.Follow, opts.Until = false, until
		if from.After(opts.Since) {
			opts.Since = from
		}
	}
	err := tasklog.Read(ctx, h.paths.taskLogs(task), opts, func(l tasklog.Line) error {
		return emit(host.LogLine{Time: l.Time, Stream: l.Stream, Text: l.Text})
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = host.ErrNotFound
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("read log of %s: %w", task, err)
	}
	return err
}
