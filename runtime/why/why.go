// Package why answers one question in sentences: why is this task, service or node as it is? It reads what is stored, the
// events among it, and what the controllers remember: their last decisions with the reasons (control.Trace) and what they
// say now about the things that they leave as they are (control.Explain).
package why

import (
	"fmt"
	"strings"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
)

// View is all that an answer is made of. Only Snapshot and Now are required.
type View struct {
	Snapshot  *control.Snapshot
	Now       time.Time
	Decisions []control.Decision    // newest first
	Words     map[meta.Key][]string // what controllers say now
	// Node is the one that answers, Troubles what its checks of readiness say.
	Node     string
	Troubles []string
	// LastWords are the last lines that a task wrote, where they can be had.
	LastWords func(task string) []string
}

// Answer is one sentence that names the cause, what else belongs to it, and commands that lead on.
type Answer struct {
	Cause string
	More  []string
	Try   []string
}

// Lines of an answer, as they are printed.
func (a Answer) Lines() []string {
	out := []string{a.Cause}
	for _, l := range a.More {
		out = append(out, "  "+l)
	}
	for _, l := range a.Try {
		out = append(out, "try: "+l)
	}
	return out
}

// Of answers for a task, a service or a node; false where nothing is known of it.
func Of(v View, key meta.Key) (Answer, bool) {
	s := &story{View: v, key: key}
	o, there := v.Snapshot.Get(key)
	switch x := o.(type) {
	case *v1.Task:
		s.task(x)
	case *v1.Service:
		s.service(x)
	case *v1.Node:
		s.node(x)
	}
	if !there && !s.gone() {
		return Answer{}, false
	}
	return s.Answer, true
}

// Explained tells whether there are answers about a kind.
func Explained(kind string) bool {
	return kind == v1.TaskKind.Name || kind == v1.ServiceKind.Name || kind == v1.NodeKind.Name
}

// story is an answer in the making.
type story struct {
	View
	Answer
	key meta.Key
}

func (s *story) cause(format string, args ...any) {
	s.Cause = name(s.key) + " " + fmt.Sprintf(format, args...)
}

func (s *story) more(format string, args ...any) {
	s.More = append(s.More, fmt.Sprintf(format, args...))
}

func (s *story) try(format string, args ...any) {
	s.Try = append(s.Try, fmt.Sprintf(format, args...))
}

// say adds what controllers say now about a thing.
func (s *story) say(k meta.Key) {
	s.More = append(s.More, s.Words[k]...)
}

func (s *story) ago(t time.Time) string { return v1.Age(t, s.Now) + " ago" }

func name(k meta.Key) string { return strings.ToLower(k.Kind) + "/" + k.Name }

func taskKey(task string) meta.Key       { return meta.Key{Kind: v1.TaskKind.Name, Name: task} }
func serviceKey(service string) meta.Key { return meta.Key{Kind: v1.ServiceKind.Name, Name: service} }

// maxEvents is how many of the events about a thing are told.
const maxEvents = 3

// events tells the last events about the thing, oldest first, but for those that only repeat the cause, and, where that is
// told already, what people changed.
func (s *story) events(toldChanges bool) {
	all := s.eventsAbout(s.key)
	for _, e := range all[max(0, len(all)-maxEvents):] {
		if strings.Contains(s.Cause, e.Status.Message) || toldChanges && e.Spec.Source == Source {
			continue
		}
		times := ""
		if e.Status.Count > 1 {
			times = fmt.Sprintf(", %d times", e.Status.Count)
		}
		s.more("%s%s: %s: %s", s.ago(e.Status.Last), times, e.Spec.Reason, e.Status.Message)
	}
}

// eventsAbout returns the events about a thing, oldest first.
func (s *story) eventsAbout(k meta.Key) []*v1.Event {
	var out []*v1.Event
	s.Snapshot.Where(v1.EventKind.Name, v1.ByAbout, k.String(), func(o meta.Object) { out = append(out, o.(*v1.Event)) })
	sortEvents(out)
	return out
}

func (s *story) nodeOf(t *v1.Task) *v1.Node {
	if o, ok := s.Snapshot.Get(meta.Key{Kind: v1.NodeKind.Name, Name: t.Spec.Node}); ok {
		return o.(*v1.Node)
	}
	return nil
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
