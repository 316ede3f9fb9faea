package reconciler

import (
	"fmt"
	"strings"

	v1 "warren.io/warren/apis/v1"
)

// cause is why a task is made or removed: somebody wants the service so, or something happened to the task.
type cause struct {
	text  string
	asked bool
}

func asked(format string, args ...any) cause    { return cause{fmt.Sprintf(format, args...), true} }
func happened(format string, args ...any) cause { return cause{fmt.Sprintf(format, args...), false} }

func (d *decision) surplus(s slot) cause {
	switch {
	case s.node != "" && d.svc.Spec.Mode == v1.Global && d.drain(s.node) != "":
		return asked("node %s is drained", s.node)
	case s.node != "" && d.svc.Spec.Mode == v1.Global:
		return happened("node %s is gone", s.node)
	case d.svc.Spec.Mode == v1.Global:
		return asked("service %s runs one task on every node now", d.svc.Metadata.Name)
	case s.node != "":
		return asked("service %s has a number of replicas now", d.svc.Metadata.Name)
	}
	return asked("service %s wants %s", d.svc.Metadata.Name, count(*d.svc.Spec.Replicas, "replica"))
}

// tellScaledDown is for those who ask later where a task has gone: the tasks themselves cannot be asked any more.
func (d *decision) tellScaledDown(gone []*v1.Task) {
	var names []string
	for _, t := range gone {
		if len(names) == 3 && len(gone) > 4 {
			names = append(names, fmt.Sprintf("%d more", len(gone)-3))
			break
		}
		names = append(names, t.Metadata.Name)
	}
	if len(names) > 0 {
		d.note(false, "ScaledDown", "removed %s: %s", strings.Join(names, ", "), d.why[gone[0].Metadata.Name].text)
	}
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func (d *decision) vacant(s slot) cause {
	if s.node != "" {
		return asked("service %s runs one task on every node, and %s had none", d.svc.Metadata.Name, s.node)
	}
	return asked("service %s wants %s, and slot %d was empty", d.svc.Metadata.Name, count(*d.svc.Spec.Replicas, "replica"), s.number)
}

func (d *decision) stateOf(node string) string {
	if _, known := d.state[node]; !known {
		return "gone"
	}
	return strings.ToLower(string(d.state[node]))
}

// waitFor says for what an update waits, if there is one.
func (d *decision) waitFor(t *v1.Task, wanted []slot) {
	left := 0
	for _, s := range wanted {
		if x := d.tasks[s]; x != nil && d.outdated(x) {
			left++
		}
	}
	if left > 0 {
		d.say(nil, "the update waits for %s, which has the new template and is not ready; %s still to be replaced", t.Metadata.Name, count(left, "task"))
	}
}

// say tells how it stands with a task, or with the service.
func (d *decision) say(t *v1.Task, format string, args ...any) {
	if w := (word{t, fmt.Sprintf(format, args...)}); len(d.words) == 0 || d.words[len(d.words)-1] != w {
		d.words = append(d.words, w)
	}
}
