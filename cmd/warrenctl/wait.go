package warrenctl

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// errSettled ends a watch that has seen what it waited for.
var errSettled = errors.New("settled")

// waiting is what is known about services until they are as they shall be.
type waiting struct {
	p        *program
	keys     []meta.Key
	services map[meta.Key]*v1.Service
	tasks    map[string]map[string]*v1.Task // by service and name
	said     map[meta.Key]string            // what was printed last
	lines    int                            // that are on the terminal and will be written over
	// before are the templates that services had before a restart: until they have others, nothing of it has happened.
	before map[meta.Key]string

	mu    sync.Mutex  // over all of it: changes and the progress of pulls come at the same time
	pulls []host.Pull // that are going on
}

// timeoutFlag bounds all waits.
func timeoutFlag() cli.Flag {
	return &cli.DurationFlag{Name: "timeout", Value: 5 * time.Minute, Usage: "how long to wait", Action: func(_ *cli.Context, d time.Duration) error {
		if d < 0 {
			return usagef("--timeout %s is in the past; write 30s, 5m or 1h", d)
		}
		return nil
	}}
}

// waiting begins to wait for the services among keys.
func (p *program) waiting(keys []meta.Key) *waiting {
	w := &waiting{p: p, services: map[meta.Key]*v1.Service{}, tasks: map[string]map[string]*v1.Task{}, said: map[meta.Key]string{}}
	for _, key := range keys {
		if key.Kind == v1.ServiceKind.Name {
			w.keys = append(w.keys, key)
		}
	}
	return w
}

// run returns when all services run what was asked for; in between it shows how far they are.
func (w *waiting) run(ctx context.Context, s *grpcstore.Store, most time.Duration) error {
	timed, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	unfollow := w.follow(timed, s)
	err := w.p.changes(timed, s.Only(v1.ServiceKind.Name, v1.TaskKind.Name), w.all, w.one)
	unfollow()
	switch {
	case errors.Is(err, errSettled):
		return nil
	case late(ctx, timed, err):
		return w.late(most)
	}
	return err
}

func (w *waiting) all(objects []meta.Object) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range objects {
		w.take(o.Key(), o)
	}
	return w.show()
}

func (w *waiting) one(c store.Change) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.take(c.Key, c.Object)
	return w.show()
}

func (w *waiting) take(key meta.Key, o meta.Object) {
	switch x := o.(type) {
	case *v1.Service:
		w.services[key] = x
	case *v1.Task:
		if w.tasks[x.Spec.Service] == nil {
			w.tasks[x.Spec.Service] = map[string]*v1.Task{}
		}
		w.tasks[x.Spec.Service][key.Name] = x
	default:
		delete(w.services, key)
		for _, tasks := range w.tasks {
			if key.Kind == v1.TaskKind.Name {
				delete(tasks, key.Name)
			}
		}
	}
}

// settled tells whether a service runs what its newest spec says, and nothing else. Tasks that have done their work and
// ended, as their restart policy allows, count like those that run.
func (w *waiting) settled(s *v1.Service) bool {
	st, ended := s.Status, 0
	for _, t := range w.tasks[s.Metadata.Name] {
		if t.Status.Phase == v1.TaskComplete && t.Spec.TemplateHash == st.Image.Template {
			ended++
		}
	}
	return w.observed(s) && st.Ready+ended >= st.Desired && st.Updated >= st.Desired && st.Tasks <= st.Desired
}

// observed tells whether the status is about what was asked for.
func (w *waiting) observed(s *v1.Service) bool {
	old, restarted := w.before[s.Key()]
	return s.Status.ObservedGeneration >= s.Metadata.Generation && (!restarted || s.Status.Image.Template != old)
}

// hopeless says why waiting longer will not help: a task of the newest version was given up, or can never run. One that was
// sent to a machine its image is not made for is replaced elsewhere, once that is known.
func (w *waiting) hopeless(s *v1.Service) error {
	if !w.observed(s) {
		return nil
	}
	tasks := w.tasks[s.Metadata.Name]
	for _, name := range meta.SortedKeys(tasks) {
		t := tasks[name]
		elsewhere := t.Status.Reason == host.ReasonPlatformMismatch && len(t.Spec.Platforms) == 0
		final := t.Status.Phase == v1.TaskFailed || t.Status.Phase == v1.TaskRejected
		if final && !elsewhere && t.Spec.TemplateHash == s.Status.Image.Template && t.Metadata.Deleted.IsZero() {
			err := fmt.Errorf("%s will not be ready: %s: %s", lower(s.Kind, s.Metadata.Name), name, clean(reasonOf(t)))
			return &exit{error: err, code: codeNo, try: "warrenctl why task/" + name}
		}
	}
	return nil
}

// show prints how far all services are; errSettled when there is nothing left to wait for.
func (w *waiting) show() error {
	done, no := true, error(nil)
	for _, key := range w.keys {
		s := w.services[key]
		if s == nil {
			return &exit{error: fmt.Errorf("wait for %s: it was deleted", lower(key.Kind, key.Name)), code: codeNo}
		}
		if no = errors.Join(no, w.hopeless(s)); !w.settled(s) {
			done = false
		}
	}
	w.draw()
	if done {
		return errSettled
	}
	return no
}

// draw prints a line for each service that is known: over the ones before on a terminal, else if it says something new.
func (w *waiting) draw() {
	var lines []string
	for _, key := range w.keys {
		s := w.services[key]
		if s == nil {
			continue
		}
		line := w.line(s) + w.fetching(s)
		if line != w.said[key] && !w.p.live {
			w.p.note("%s", line)
		}
		w.said[key] = line
		lines = append(lines, line)
	}
	if w.p.live {
		w.rewrite(lines)
	}
}

// rewrite puts the lines in the place of those before.
func (w *waiting) rewrite(lines []string) {
	var b strings.Builder
	if w.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", w.lines)
	}
	for _, l := range lines {
		fmt.Fprintf(&b, "\r\x1b[K%s\n", l)
	}
	w.lines = len(lines)
	_, _ = w.p.err.Write([]byte(b.String()))
}

// line says how far one service is: service/web: 1 of 3 ready, 1 Pulling, 1 Pending.
func (w *waiting) line(s *v1.Service) string {
	name := lower(v1.ServiceKind.Name, s.Metadata.Name)
	st := s.Status
	if !w.observed(s) {
		return name + ": waiting for the cluster"
	}
	text := fmt.Sprintf("%s: %d of %d ready", name, st.Ready, st.Desired)
	if st.Updated < st.Desired {
		text += fmt.Sprintf(", %d updated", st.Updated)
	}
	words := map[string]int{}
	for _, t := range w.tasks[s.Metadata.Name] {
		if !t.Status.Ready {
			words[v1.TaskWord(t)]++
		}
	}
	for _, word := range meta.SortedKeys(words) {
		text += fmt.Sprintf(", %d %s", words[word], word)
	}
	return clean(text)
}

// late says which services were not in time, and why as far as their tasks know.
func (w *waiting) late(most time.Duration) error {
	var all []error
	next := "warrenctl get tasks -o wide"
	for _, key := range w.keys {
		if s := w.services[key]; s == nil || !w.settled(s) {
			if len(all) == 0 {
				next = whyOf(key)
			}
			all = append(all, fmt.Errorf("%s is not ready after %s%s", lower(key.Kind, key.Name), most, w.why(key.Name)))
		}
	}
	err := errors.Join(all...)
	if err == nil {
		err = fmt.Errorf("no answer within %s", most)
	}
	return &exit{error: err, code: codeLate, try: next}
}

// why returns what the tasks of a service say, each thing once.
func (w *waiting) why(service string) string {
	var said []string
	for _, name := range meta.SortedKeys(w.tasks[service]) {
		if text := reasonOf(w.tasks[service][name]); text != "" && !slices.Contains(said, text) {
			said = append(said, text)
		}
	}
	if len(said) == 0 {
		return ""
	}
	return ": " + clean(strings.Join(said, "; "))
}

// reasonOf says why a task is not ready.
func reasonOf(t *v1.Task) string { return v1.TaskWhy(t) }
