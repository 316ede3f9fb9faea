package why

import (
	"fmt"
	"strings"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
)

// Reasons of a host that have their own words here; runtime/host declares them.
const (
	imagePull = "ImagePull"
	oomKilled = "OOMKilled"
	lost      = "Lost"
)

func (s *story) task(t *v1.Task) {
	s.cause("%s", s.clause(t))
	s.lastWords(t)
	if !strings.Contains(s.Cause, strings.Join(s.Words[s.key], "")) {
		s.say(s.key)
	}
	s.origin(t)
	s.events(false)
	s.next(t)
}

// clause says in half a sentence how it stands with a task and why: "is pending: no node fits: ...".
func (s *story) clause(t *v1.Task) string {
	st := &t.Status
	switch n := s.nodeOf(t); {
	case !t.Metadata.Deleted.IsZero():
		return s.leaving(t)
	case st.Phase == v1.TaskComplete:
		return fmt.Sprintf("has ended as it should, %s, %s", exitWords(t), s.ago(st.FinishedAt))
	case st.Phase == v1.TaskFailed:
		return fmt.Sprintf("was given up %s: %s%s", s.ago(st.FinishedAt), st.Message, policyWords(t))
	case st.Phase == v1.TaskRejected:
		return fmt.Sprintf("can never run on node %s: %s", t.Spec.Node, st.Message)
	case t.Spec.Node == "":
		return s.pending(t)
	case n == nil:
		return fmt.Sprintf("belongs to node %s, which is gone", t.Spec.Node)
	case n.Status.State != v1.NodeReady:
		return fmt.Sprintf("is on node %s, which is %s: %s", t.Spec.Node, strings.ToLower(string(n.Status.State)), readyMessage(n))
	case st.Ready:
		return s.running(t)
	}
	return s.starting(t)
}

func (s *story) leaving(t *v1.Task) string {
	text := fmt.Sprintf("is being removed since %s", v1.Age(t.Metadata.Deleted, s.Now))
	if d, deed, ok := s.last(s.key, control.Deleted); ok {
		text += ": " + s.because(d, deed)
	}
	if g := t.Spec.StopGracePeriod; g != nil && t.Status.PID != 0 {
		text += fmt.Sprintf("; its process on node %s has %s to end", t.Spec.Node, g)
	}
	return text
}

func (s *story) pending(t *v1.Task) string {
	words := s.Words[taskKey(t.Metadata.Name)]
	switch {
	case len(words) == 1:
		return "is pending: no node fits: " + words[0]
	case len(t.Status.Pending) == 0:
		return "is pending: the scheduler has not come to it yet"
	}
	var reasons []string
	for _, r := range t.Status.Pending {
		reasons = append(reasons, r.Message)
	}
	return "is pending: no node fits: " + strings.Join(reasons, ", ")
}

func (s *story) running(t *v1.Task) string {
	text := fmt.Sprintf("runs on node %s since %s", t.Spec.Node, v1.Age(t.Status.StartedAt, s.Now))
	if t.Status.Restarts > 0 {
		text += fmt.Sprintf(", after %s: %s", count(t.Status.Restarts, "restart"), exitWords(t))
	}
	return text
}

// starting is for a task on a node that is ready, and that does not run now.
func (s *story) starting(t *v1.Task) string {
	st := &t.Status
	switch {
	case st.Reason == imagePull:
		return fmt.Sprintf("does not run: its image %s cannot be fetched: %s", t.Spec.Image, strings.TrimPrefix(st.Message, "pull "+t.Spec.Image+": "))
	case st.Phase == "" || st.Phase == v1.TaskPending:
		return fmt.Sprintf("is given to node %s, whose agent has not taken it yet", t.Spec.Node)
	case st.Failures > 0:
		return fmt.Sprintf("does not run: it %s%s", st.Message, inARow(st.Failures))
	case st.Message != "":
		return "does not run: it " + st.Message
	case st.Phase == v1.TaskPreparing:
		return fmt.Sprintf("does not run yet: its image %s is fetched", t.Spec.Image)
	}
	return fmt.Sprintf("does not run yet: it is started on node %s", t.Spec.Node)
}

func inARow(failures int) string {
	if failures < 2 {
		return ""
	}
	return fmt.Sprintf(" (%d failures in a row)", failures)
}

// exitWords say how the last process of a task ended.
func exitWords(t *v1.Task) string {
	st := &t.Status
	switch {
	case st.ExitReason == oomKilled && t.Spec.Resources.Limits.Memory > 0:
		return fmt.Sprintf("it was killed for using more memory than its limit of %s", v1.Size(t.Spec.Resources.Limits.Memory))
	case st.ExitReason == oomKilled:
		return "it was killed because the machine ran out of memory"
	case st.ExitReason == lost:
		return "it was lost when the machine or its shim went down"
	case st.ExitCode == nil:
		return "it could not be started at first"
	case *st.ExitCode > 128 && *st.ExitCode < 160:
		return fmt.Sprintf("its process was killed by signal %d", *st.ExitCode-128)
	}
	return fmt.Sprintf("its process exited with code %d", *st.ExitCode)
}

// policyWords say which rule gave a task up.
func policyWords(t *v1.Task) string {
	if t.Spec.Restart.Policy == v1.RestartNever {
		return "; spec.restart.policy is Never"
	}
	if n := t.Spec.Restart.MaxAttempts; n > 0 {
		return fmt.Sprintf("; spec.restart.maxAttempts is %d", n)
	}
	return ""
}

func readyMessage(n *v1.Node) string {
	for _, c := range n.Status.Conditions {
		if c.Type == v1.ConditionReady {
			return c.Message
		}
	}
	return "nothing is known of it"
}

// lastWords adds what a task wrote last, where it is not well.
func (s *story) lastWords(t *v1.Task) {
	if s.LastWords == nil || t.Status.Ready && t.Status.Restarts == 0 || t.Status.ExitCode == nil {
		return
	}
	for _, line := range s.LastWords(t.Metadata.Name) {
		s.more("it wrote: %s", line)
	}
}

// origin says why the task was made and why it is where it is.
func (s *story) origin(t *v1.Task) {
	if d, deed, ok := s.last(s.key, control.Created); ok {
		s.more("it was made %s because %s", s.ago(d.At), s.because(d, deed))
	}
	if d, deed, ok := s.last(s.key, control.Changed); ok && t.Spec.Node != "" {
		s.more("%s gave it to node %s: %s", d.Source, t.Spec.Node, deed.Because)
	}
}

// next leads on.
func (s *story) next(t *v1.Task) {
	st := &t.Status
	switch {
	case st.Reason == imagePull:
		s.try("warrenctl help images")
	case t.Spec.Node == "":
		s.try("warrenctl describe service/%s", t.Spec.Service)
	case st.ExitCode != nil && !(st.Ready && st.Restarts == 0):
		s.try("warrenctl logs %s --tail 20", t.Metadata.Name)
	case !st.Ready:
		s.try("warrenctl describe task/%s", t.Metadata.Name)
	}
}
