package warrenctl

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

func (p *program) logsVerb() *cli.Command {
	return &cli.Command{
		Name: "logs", Usage: "show what tasks wrote", ArgsUsage: "TASK... | service/NAME...",
		Description: "Lines of several tasks are put in order of time and begin with the task's name.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on with what they write, and with new tasks of a service"},
			&cli.IntFlag{Name: "tail", Value: -1, Usage: "only so many last lines of each task"},
		},
		Action: func(c *cli.Context) error {
			if !c.Args().Present() {
				return try(usagef("logs of what?"), "warrenctl get tasks")
			}
			s, err := p.server(c)
			if err != nil {
				return err
			}
			l := &logs{p: p, s: s, tail: c.Int("tail"), tasks: map[string]bool{}, services: map[string]bool{}}
			if err := l.choose(c.Context, c.Args().Slice()); err != nil {
				return err
			}
			if c.Bool("follow") {
				return l.follow(c.Context)
			}
			return l.print(c.Context)
		},
	}
}

// logs are those of tasks chosen by name and by service.
type logs struct {
	p        *program
	s        *grpcstore.Store
	tail     int
	tasks    map[string]bool
	services map[string]bool

	mu    sync.Mutex // of what is printed
	width int        // of the longest name so far
}

// choose reads names: of tasks, and of services where it says so or where there is no such task.
func (l *logs) choose(ctx context.Context, words []string) error {
	for _, w := range words {
		key, bare := meta.Key{Kind: v1.TaskKind.Name, Name: w}, !strings.Contains(w, "/")
		if !bare {
			var err error
			if key, err = keyOf(w); err != nil {
				return err
			}
		}
		_, err := l.s.Get(ctx, key)
		if service := (meta.Key{Kind: v1.ServiceKind.Name, Name: w}); bare && errors.Is(err, store.ErrNotFound) {
			if _, e := l.s.Get(ctx, service); e == nil {
				key, err = service, nil
			}
		}
		switch {
		case err != nil:
			return about(key, err)
		case key.Kind == v1.TaskKind.Name:
			l.tasks[key.Name] = true
		case key.Kind == v1.ServiceKind.Name:
			l.services[key.Name] = true
		default:
			return usagef("a %s has no logs; name a task or a service", strings.ToLower(key.Kind))
		}
	}
	return nil
}

func (l *logs) wants(o meta.Object) bool {
	t, ok := o.(*v1.Task)
	return ok && (l.tasks[t.Metadata.Name] || l.services[t.Spec.Service])
}

// prefixed: one task alone needs no name before its lines.
func (l *logs) prefixed() bool { return len(l.services) > 0 || len(l.tasks) > 1 }

func (l *logs) line(task string, x host.LogLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.prefixed() {
		l.p.printf("%s\n", x.Text)
		return
	}
	l.width = max(l.width, len(task))
	l.p.printf("%-*s | %s\n", l.width, task, x.Text)
}

// print writes what there is, the lines of all tasks in order of time.
func (l *logs) print(ctx context.Context) error {
	all, _, err := l.s.Only(v1.TaskKind.Name).List(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var readers []*reader
	for _, o := range all {
		if l.wants(o) {
			l.width = max(l.width, len(o.Meta().Name))
			readers = append(readers, l.read(ctx, o.Meta().Name))
		}
	}
	l.merge(readers)
	var failed []error
	for _, r := range readers {
		if errors.Is(r.err, host.ErrNotFound) {
			r.err = fmt.Errorf("task %q wrote nothing yet", r.task)
		}
		failed = append(failed, r.err)
	}
	return errors.Join(failed...)
}

// reader is the log of one task.
type reader struct {
	task  string
	lines chan host.LogLine
	err   error // when lines is closed
	head  *host.LogLine
}

func (l *logs) read(ctx context.Context, task string) *reader {
	r := &reader{task: task, lines: make(chan host.LogLine, 256)}
	go func() {
		defer close(r.lines)
		r.err = l.s.Logs(ctx, task, host.LogOptions{Tail: l.tail}, func(x host.LogLine) error {
			select {
			case r.lines <- x:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	return r
}

// next makes head the next line, nil at the end.
func (r *reader) next() {
	r.head = nil
	if x, ok := <-r.lines; ok {
		r.head = &x
	}
}

// merge prints all lines, always the oldest of those that come next.
func (l *logs) merge(readers []*reader) {
	for _, r := range readers {
		r.next()
	}
	for {
		var oldest *reader
		for _, r := range readers {
			if r.head != nil && (oldest == nil || r.head.Time.Before(oldest.head.Time)) {
				oldest = r
			}
		}
		if oldest == nil {
			return
		}
		l.line(oldest.task, *oldest.head)
		oldest.next()
	}
}

// follow prints lines as they come, of tasks that start later too, until all tasks that were named are gone; with a
// service that is never.
func (l *logs) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
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
	err := l.p.changes(ctx, l.s.Only(v1.TaskKind.Name), func(all []meta.Object) error {
		for _, o := range all {
			begin(o)
		}
		return nil
	}, func(c store.Change) error {
		if begin(c.Object); c.Object == nil {
			delete(l.tasks, c.Key.Name)
		}
		if len(l.tasks)+len(l.services) == 0 {
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

// keepReading follows one task over lost connections; what was printed is not printed again.
func (l *logs) keepReading(ctx context.Context, task string) error {
	o := host.LogOptions{Follow: true, Tail: l.tail}
	for {
		err := l.s.Logs(ctx, task, o, func(x host.LogLine) error {
			l.line(task, x)
			o.Since, o.Tail = x.Time.Add(time.Nanosecond), -1
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
