package why

import (
	"fmt"
	"slices"
	"strings"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
)

// last finds the newest decision that did something to a thing.
func (s *story) last(k meta.Key, done control.Done) (control.Decision, control.Deed, bool) {
	for _, d := range s.Decisions {
		for _, deed := range d.Deeds {
			if deed.Key == k && deed.Done == done {
				return d, deed, true
			}
		}
	}
	return control.Decision{}, control.Deed{}, false
}

// because gives the reason of a deed, and behind it the person whose change it followed, if that is remembered.
func (s *story) because(d control.Decision, deed control.Deed) string {
	if d.Seen == 0 {
		return personal(d, deed)
	}
	from := deed.From
	if from.Name == "" {
		return deed.Because + s.behind(deed)
	}
	for _, by := range s.Decisions {
		if by.Seen != 0 || by.Revision > d.Revision {
			continue
		}
		for _, x := range by.Deeds {
			if x.Key == from {
				return deed.Because + "; " + personal(by, x) + fmt.Sprintf(" %s (revision %d)", s.ago(by.At), by.Revision)
			}
		}
	}
	if who := s.changedBy(from); who != "" {
		return deed.Because + "; " + who
	}
	return deed.Because
}

// behind adds why the successor was made, where a task left for one that had come before: a drain.
func (s *story) behind(gone control.Deed) string {
	for _, d := range s.Decisions {
		for _, x := range d.Deeds {
			if x.Done == control.Created && gone.Done == control.Deleted && strings.HasPrefix(gone.Because, x.Key.Name+" ") {
				return ", which was made because " + x.Because
			}
		}
	}
	return ""
}

// changedBy tells the last change of a thing as its event has it: what is left after a restart of warren.
func (s *story) changedBy(k meta.Key) string {
	for _, e := range slices.Backward(s.eventsAbout(k)) {
		if e.Spec.Source == Source {
			return fmt.Sprintf("last changed %s by %s", s.ago(e.Status.Last), e.Status.Message)
		}
	}
	return ""
}

// personal says what a person did.
func personal(d control.Decision, deed control.Deed) string {
	text := fmt.Sprintf("%s %s %s", d.Source, deed.Done, name(deed.Key))
	if deed.Because != "" {
		text += ": " + deed.Because
	}
	return text
}

// gone tells what is remembered of a thing that is not there any more; false if nothing is.
func (s *story) gone() bool {
	if d, deed, ok := s.last(s.key, control.Deleted); ok {
		s.removed(d, deed)
		return true
	}
	about := s.eventsAbout(s.key)
	if s.key.Kind == v1.TaskKind.Name {
		about = append(about, s.mentions()...)
		sortEvents(about)
	}
	if len(about) == 0 {
		return false
	}
	e := about[len(about)-1]
	s.cause("is gone; the last that is known, %s: %s: %s", s.ago(e.Status.Last), e.Spec.Reason, e.Status.Message)
	return true
}

func (s *story) removed(d control.Decision, deed control.Deed) {
	verb := "was removed"
	if next := successor(d, deed); next != "" {
		verb = "was replaced by " + next
	}
	reason := s.because(d, deed)
	if owner, by, ok := s.deletedOwner(d, deed); ok {
		reason = personal(owner, by)
	}
	s.cause("%s %s because %s", verb, s.ago(d.At), reason)
	if d.Seen != 0 {
		s.more("%s decided it on revision %d and committed it as revision %d", d.Source, d.Seen, d.Revision)
	}
	if d.Trigger.Key.Name != "" {
		s.more("it looked because %s changed at revision %d", name(d.Trigger.Key), d.Trigger.Revision)
	}
	s.events(false)
}

// successor is the task that took the place of another in the same commit.
func successor(d control.Decision, gone control.Deed) string {
	for _, x := range d.Deeds {
		if x.Done == control.Created && place(x.Key.Name) == place(gone.Key.Name) {
			return x.Key.Name
		}
	}
	return ""
}

// place is a task's name without the count: service and slot.
func place(task string) string { return task[:max(strings.LastIndexByte(task, '-'), 0)] }

// deletedOwner finds who deleted the service of a task that was removed for that.
func (s *story) deletedOwner(d control.Decision, gone control.Deed) (control.Decision, control.Deed, bool) {
	if gone.Key.Kind != v1.TaskKind.Name || gone.From.Name != "" || d.Seen == 0 {
		return control.Decision{}, control.Deed{}, false
	}
	for _, by := range s.Decisions {
		for _, x := range by.Deeds {
			if by.Seen == 0 && x.Done == control.Deleted && by.Revision <= d.Revision && x.Key == serviceKey(serviceIn(gone.Key.Name)) {
				return by, x, true
			}
		}
	}
	return control.Decision{}, control.Deed{}, false
}

// serviceIn is the service in a task's name: SERVICE-SLOT-COUNT.
func serviceIn(task string) string { return place(place(task)) }

// mentions are events about the task's service that name the task.
func (s *story) mentions() []*v1.Event {
	var out []*v1.Event
	for _, e := range s.eventsAbout(serviceKey(serviceIn(s.key.Name))) {
		if slices.Contains(strings.FieldsFunc(e.Status.Message, func(r rune) bool { return r == ' ' || r == ',' || r == ':' }), s.key.Name) ||
			e.Spec.Reason == "Deleted" {
			out = append(out, e)
		}
	}
	return out
}

func sortEvents(all []*v1.Event) {
	slices.SortStableFunc(all, func(a, b *v1.Event) int { return a.Status.Last.Compare(b.Status.Last) })
}
