package warrenctl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
		Name: "logs", Usage: "show what tasks wrote", ArgsUsage: "TASK... | service/NAME... | -l SELECTOR",
		Description: "Lines of several tasks are put in order of time and begin with the task's name. A task that does not answer is one\n" +
			"line on standard error, and so is a place where lines are missing since this reader was too slow for the task.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on with what they write, and with new tasks of a service"},
			&cli.IntFlag{Name: "tail", Value: -1, Usage: "only so many last lines of each task"},
			&cli.StringFlag{Name: "since", Usage: "only lines of the last 5m, or since a time like 2026-01-02T15:04:05Z"},
			&cli.BoolFlag{Name: "timestamps", Usage: "begin each line with its time"},
			&cli.BoolFlag{Name: "previous", Aliases: []string{"p"}, Usage: "only lines of the attempt before the latest one, for example of what crashed"},
			&cli.StringFlag{Name: "selector", Aliases: []string{"l"}, Usage: "of all tasks with such labels, like tier=front"},
		},
		Action: func(c *cli.Context) error {
			l, err := p.logsOf(c)
			if err != nil {
				return err
			}
			defer l.out.close()
			if c.Bool("follow") {
				return l.follow(c.Context)
			}
			return l.print(c.Context)
		},
	}
}

// logsOf reads the command line.
func (p *program) logsOf(c *cli.Context) (*logs, error) {
	labels := c.String("selector")
	switch {
	case !c.Args().Present() && labels == "":
		return nil, try(usagef("logs of what?"), "warrenctl get tasks")
	case c.Args().Present() && labels != "":
		return nil, usagef("names and --selector exclude each other")
	case c.Bool("follow") && c.Bool("previous"):
		return nil, usagef("an attempt that is over cannot be followed: --previous and --follow exclude each other")
	}
	o := host.LogOptions{Tail: c.Int("tail"), Previous: c.Bool("previous")}
	if o.Tail < -1 {
		return nil, usagef("--tail %d: write a number of lines, or -1 for all", o.Tail)
	}
	_, err := meta.ParseSelector(labels)
	if err != nil {
		return nil, usagef("%v", err)
	}
	if o.Since, err = p.since(c.String("since")); err != nil {
		return nil, err
	}
	s, err := p.server(c)
	if err != nil {
		return nil, err
	}
	l := &logs{p: p, s: s, options: o, labels: labels, tasks: map[string]bool{}, services: map[string]bool{}}
	ctx, cancel := context.WithTimeoutCause(c.Context, silence, noAnswer(s.Target()))
	defer cancel()
	if err := l.choose(ctx, c.Args().Slice()); err != nil {
		return nil, err
	}
	l.out = newLogOutput(p, c.Bool("timestamps"))
	return l, nil
}

// since reads an age or a time.
func (p *program) since(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if age, err := time.ParseDuration(text); err == nil && age >= 0 {
		return p.now().Add(-age), nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	return time.Time{}, usagef("--since %q is neither an age like 5m or 2h30m nor a time like 2026-01-02T15:04:05Z", text)
}

// silence is how long something may say nothing until it is left out.
var silence = 5 * time.Second

// logs are those of tasks chosen by name, by service and by labels.
type logs struct {
	p        *program
	s        *grpcstore.Store
	options  host.LogOptions
	labels   string
	tasks    map[string]bool
	services map[string]bool
	out      *logOutput
}

// view is all tasks that may be chosen.
func (l *logs) view() *grpcstore.Store {
	return l.s.Filter(grpcstore.Filter{Kinds: []string{v1.TaskKind.Name}, Labels: l.labels})
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
	return ok && (l.labels != "" || l.tasks[t.Metadata.Name] || l.services[t.Spec.Service])
}

// several: one task alone needs no name before its lines.
func (l *logs) several() bool { return l.labels != "" || len(l.services) > 0 || len(l.tasks) > 1 }

// print writes what there is, the lines of all tasks in order of time.
func (l *logs) print(ctx context.Context) error {
	all, err := l.list(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var readers []*reader
	l.out.prefix = l.several()
	for _, o := range all {
		if l.wants(o) {
			l.out.widen(o.Meta().Name)
			readers = append(readers, l.read(ctx, o.Meta().Name))
		}
	}
	if len(readers) == 0 {
		l.p.note("no tasks%s", l.chosen())
	}
	l.merge(readers)
	l.silent(readers, all)
	return l.failures(readers, all)
}

// chosen says of what there are no tasks.
func (l *logs) chosen() string {
	if l.labels != "" {
		return " with " + l.labels
	}
	return " of " + strings.Join(slices.Concat(meta.SortedKeys(l.services), meta.SortedKeys(l.tasks)), ", ")
}

func (l *logs) list(ctx context.Context) ([]meta.Object, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, silence, noAnswer(l.s.Target()))
	defer cancel()
	all, _, err := l.view().List(ctx)
	return all, err
}

// silent tells why there may be nothing to see: of tasks that do not run, how they stand.
func (l *logs) silent(readers []*reader, all []meta.Object) {
	for _, r := range readers {
		if r.wrote || r.failure() != nil || l.options.Tail == 0 {
			continue
		}
		since := ""
		if !l.options.Since.IsZero() {
			since = " since then"
		}
		if how := standingOf(r.task, all); how != "" {
			l.p.note("task %q wrote nothing%s; it is %s", r.task, since, how)
		}
	}
}

// standingOf is how a task stands that does not run, "" of one that does.
func standingOf(name string, all []meta.Object) string {
	for _, o := range all {
		if t, ok := o.(*v1.Task); ok && t.Metadata.Name == name && !t.Status.Ready {
			return standing(t)
		}
	}
	return ""
}

// failures tells in a line each what could not be read. That is a failure of the whole only if nothing could.
func (l *logs) failures(readers []*reader, all []meta.Object) error {
	var failed []error
	for _, r := range readers {
		switch err := r.failure(); {
		case err == nil:
		case errors.Is(err, host.ErrNotFound) && l.options.Previous:
			failed = append(failed, fmt.Errorf("task %q was started only once", r.task))
		case errors.Is(err, host.ErrNotFound):
			if how := standingOf(r.task, all); how != "" {
				failed = append(failed, fmt.Errorf("task %q wrote nothing yet; it is %s", r.task, how))
				continue
			}
			failed = append(failed, fmt.Errorf("task %q wrote nothing yet", r.task))
		default:
			failed = append(failed, err)
		}
	}
	if len(failed) == len(readers) {
		return errors.Join(failed...)
	}
	for _, err := range failed {
		l.p.note("%v", err)
	}
	return nil
}

// reader is the log of one task.
type reader struct {
	task   string
	lines  chan host.LogLine
	err    error // when lines is closed
	head   *host.LogLine
	wrote  bool // any line
	silent bool // it was left out since it did not answer
	cancel context.CancelFunc
}

func (l *logs) read(ctx context.Context, task string) *reader {
	ctx, cancel := context.WithCancel(ctx)
	r := &reader{task: task, lines: make(chan host.LogLine, 256), cancel: cancel}
	go func() {
		defer close(r.lines)
		defer cancel()
		r.err = l.s.Logs(ctx, task, l.options, func(x host.LogLine) error {
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

// failure is why not all could be read. Only when all was.
func (r *reader) failure() error {
	if r.silent {
		return fmt.Errorf("task %q: its log did not answer for %v; what follows is left out", r.task, silence)
	}
	return r.err
}

// next makes head the next line, nil at the end. One that does not answer is at its end.
func (r *reader) next() {
	r.head = nil
	select {
	case x, ok := <-r.lines:
		if ok {
			r.head = &x
		}
		return
	default:
	}
	late := time.NewTimer(silence)
	defer late.Stop()
	select {
	case x, ok := <-r.lines:
		if ok {
			r.head = &x
		}
	case <-late.C:
		r.silent = true
		r.cancel()
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
		oldest.wrote = true
		l.out.line(oldest.task, *oldest.head)
		oldest.next()
	}
}
