package why

import (
	"cmp"
	"slices"
	"strings"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
)

func (s *story) service(svc *v1.Service) {
	st := &svc.Status
	tasks := s.tasks(v1.ByService, svc.Metadata.Name)
	ill := notReady(tasks)
	switch waits := s.held(ill); {
	case !svc.Metadata.Deleted.IsZero():
		s.cause("is being deleted since %s", v1.Age(svc.Metadata.Deleted, s.Now))
	case st.ObservedGeneration < svc.Metadata.Generation:
		s.cause("was changed and the reconciler has not come to it yet: is there a leader? (warrenctl get nodes)")
	case st.Desired == 0:
		s.cause("runs no task: %s", s.none(svc))
	case waits != nil:
		s.cause("is not updated: the update waits for %s, which %s", waits.Metadata.Name, s.clause(waits))
		s.next(waits)
	case len(ill) > 0:
		s.cause("has %d of %s ready: %s %s%s", st.Ready, count(st.Desired, "task"), ill[0].Metadata.Name, s.clause(ill[0]), others(len(ill)-1))
		s.next(ill[0])
	case len(tasks) < st.Desired:
		s.cause("has %d of %s ready, and the others are not made yet", st.Ready, count(st.Desired, "task"))
	case st.Updated < st.Desired:
		s.cause("is being updated: %d of %s have the new template", st.Updated, count(st.Desired, "task"))
	default:
		s.well(tasks)
	}
	s.say(s.key)
	for _, t := range ill[min(len(ill), 1):min(len(ill), maxIll)] {
		s.more("%s %s", t.Metadata.Name, s.clause(t))
	}
	s.events(s.changes())
}

// maxIll is how many tasks are spoken of one by one.
const maxIll = 5

func others(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "; and 1 other"
	}
	return "; and " + count(n, "other")
}

func (s *story) none(svc *v1.Service) string {
	if svc.Spec.Mode == v1.Global {
		return "it runs one on every node, and there are no nodes"
	}
	return "spec.replicas is 0"
}

// well is for a service that is as it shall be; restarts are told all the same.
func (s *story) well(tasks []*v1.Task) {
	ended := 0
	for _, t := range tasks {
		if t.Status.Phase == v1.TaskComplete {
			ended++
		}
	}
	switch {
	case ended == 0:
		s.cause("is well: all of its %s run", count(len(tasks), "task"))
	case ended == len(tasks):
		s.cause("has done its work: all of its %s have ended as they should", count(ended, "task"))
	default:
		s.cause("is well: of its %s %d run and %d have ended as they should", count(len(tasks), "task"), len(tasks)-ended, ended)
	}
	for _, t := range tasks {
		if t.Status.Restarts > 0 && len(s.More) < maxIll {
			s.more("%s %s", t.Metadata.Name, s.clause(t))
		}
	}
}

// changes tells what people changed last, and whether that is remembered.
func (s *story) changes() bool {
	for _, d := range s.Decisions {
		for _, deed := range d.Deeds {
			if deed.Key == s.key && d.Seen == 0 {
				s.more("%s: %s (revision %d)", s.ago(d.At), personal(d, deed), d.Revision)
				return true
			}
		}
	}
	return false
}

// held returns the task for which an update waits, nil if none does.
func (s *story) held(ill []*v1.Task) *v1.Task {
	for _, w := range s.Words[s.key] {
		for _, t := range ill {
			if strings.HasPrefix(w, "the update waits for "+t.Metadata.Name+",") {
				return t
			}
		}
	}
	return nil
}

func (s *story) tasks(index, value string) []*v1.Task {
	var out []*v1.Task
	s.Snapshot.Where(v1.TaskKind.Name, index, value, func(o meta.Object) {
		if t := o.(*v1.Task); t.Metadata.Deleted.IsZero() {
			out = append(out, t)
		}
	})
	return out
}

// notReady returns the tasks that ought to run and do not; those of which most is known first.
func notReady(tasks []*v1.Task) []*v1.Task {
	var out []*v1.Task
	for _, t := range tasks {
		if !t.Status.Ready && t.Status.Phase != v1.TaskComplete {
			out = append(out, t)
		}
	}
	slices.SortStableFunc(out, func(a, b *v1.Task) int { return cmp.Compare(weight(b), weight(a)) })
	return out
}

// weight is how much a task tells about what is wrong.
func weight(t *v1.Task) int {
	switch st := &t.Status; {
	case st.Phase == v1.TaskRejected || st.Phase == v1.TaskFailed:
		return 3
	case st.Reason != "" || st.Failures > 0 || len(st.Pending) > 0:
		return 2
	case st.Message != "":
		return 1
	}
	return 0
}
