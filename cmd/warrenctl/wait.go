package warrenctl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
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
}

// wait returns when all services run what was applied; in between it shows how far they are.
func (p *program) wait(ctx context.Context, s *grpcstore.Store, keys []meta.Key, most time.Duration) error {
	w := &waiting{p: p, services: map[meta.Key]*v1.Service{}, tasks: map[string]map[string]*v1.Task{}, said: map[meta.Key]string{}}
	for _, key := range keys {
		if key.Kind == v1.ServiceKind.Name {
			w.keys = append(w.keys, key)
		}
	}
	limit := time.Now().Add(most)
	timed, cancel := context.WithDeadline(ctx, limit)
	defer cancel()
	err := p.changes(timed, s.Only(v1.ServiceKind.Name, v1.TaskKind.Name), w.all, w.one)
	switch {
	case errors.Is(err, errSettled):
		return nil
	case ctx.Err() == nil && (timed.Err() != nil || errors.Is(err, context.DeadlineExceeded)): // the connection's clock may be ahead of ours
		return w.late(most)
	}
	return err
}

func (w *waiting) all(objects []meta.Object) error {
	for _, o := range objects {
		w.take(o.Key(), o)
	}
	return w.show()
}

func (w *waiting) one(c store.Change) error {
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

// settled tells whether a service runs what its newest spec says, and nothing else.
func settled(s *v1.Service) bool {
	st := s.Status
	return st.ObservedGeneration >= s.Metadata.Generation && st.Ready >= st.Desired && st.Updated >= st.Desired && st.Tasks <= st.Desired
}

// show prints how far all services are; errSettled when there is nothing left to wait for.
func (w *waiting) show() error {
	done := true
	var lines []string
	for _, key := range w.keys {
		s := w.services[key]
		if s == nil {
			return fmt.Errorf("wait for %s: it was deleted", lower(key.Kind, key.Name))
		}
		done = done && settled(s)
		line := w.line(s)
		if line != w.said[key] && !w.p.live {
			w.p.note("%s", line)
		}
		w.said[key] = line
		lines = append(lines, line)
	}
	if w.p.live {
		w.rewrite(lines)
	}
	if done {
		return errSettled
	}
	return nil
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
	if st.ObservedGeneration < s.Metadata.Generation {
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
	for _, key := range w.keys {
		if s := w.services[key]; s == nil || !settled(s) {
			all = append(all, fmt.Errorf("%s is not ready after %s%s", lower(key.Kind, key.Name), most, w.why(key.Name)))
		}
	}
	err := errors.Join(all...)
	if err == nil {
		err = fmt.Errorf("no answer within %s", most)
	}
	return &exit{error: err, code: codeLate, try: "warrenctl get tasks -o wide"}
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
func reasonOf(t *v1.Task) string {
	if t.Status.Ready {
		return ""
	}
	var causes []string
	for _, r := range t.Status.Pending {
		causes = append(causes, r.Message)
	}
	switch {
	case len(causes) > 0:
		return strings.Join(causes, ", ")
	case t.Status.Message != "":
		return t.Status.Message
	}
	return t.Status.Reason
}
