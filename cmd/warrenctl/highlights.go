package warrenctl

import (
	"fmt"
	"strconv"
	"strings"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
)

func itoa(n int) string { return strconv.Itoa(n) }

// highlights are what people want to know first about an object; empty values are left out.
func (p *program) highlights(o meta.Object) [][2]string {
	switch x := o.(type) {
	case *v1.Service:
		return append(append(serviceLines(x), template(&x.Spec.TaskTemplate)...), [2]string{"task labels", pairs(x.Spec.Labels)})
	case *v1.Task:
		return append(p.taskLines(x), template(&x.Spec.TaskTemplate)...)
	case *v1.Node:
		return nodeLines(x)
	case *v1.Event:
		return [][2]string{{"about", lower(x.Spec.About.Kind, x.Spec.About.Name)}, {"reason", x.Spec.Reason},
			{"message", x.Status.Message}, {"type", string(x.Spec.Type)}, {"count", itoa(x.Status.Count)},
			{"first", v1.Age(x.Status.First, p.now()) + " ago"}, {"last", v1.Age(x.Status.Last, p.now()) + " ago"}, {"told by", x.Spec.Source}}
	case *v1.Cluster:
		return clusterLines(x.Spec)
	}
	return nil
}

func serviceLines(s *v1.Service) [][2]string {
	mode := "one task on every node"
	if s.Spec.Mode != v1.Global && s.Spec.Replicas != nil {
		if mode = fmt.Sprintf("%d replicas", *s.Spec.Replicas); *s.Spec.Replicas == 1 {
			mode = "1 replica"
		}
	}
	st := s.Status
	return [][2]string{
		{"runs", mode},
		{"tasks", fmt.Sprintf("%d of %d ready, %d updated", st.Ready, st.Desired, st.Updated)},
		{"image", s.Spec.Image},
		{"digest", st.Image.Digest},
		{"node loss", lossWord(s.Spec.NodeLoss)},
	}
}

func (p *program) taskLines(t *v1.Task) [][2]string {
	st := t.Status
	started, last := "", ""
	if !st.StartedAt.IsZero() {
		started = v1.Age(st.StartedAt, p.now()) + " ago"
	}
	if st.ExitCode != nil {
		last = "code " + itoa(*st.ExitCode)
		if !st.FinishedAt.IsZero() {
			last += ", " + v1.Age(st.FinishedAt, p.now()) + " ago"
		}
		if st.ExitReason != "" {
			last += ", " + st.ExitReason
		}
	}
	return [][2]string{
		{"status", standing(t)}, {"slot", number(int64(t.Spec.Slot))}, {"address", st.Address},
		{"started", started}, {"restarts", itoa(st.Restarts)}, {"last exit", last}, {"pid", number(int64(st.PID))},
		{"image", t.Spec.Image}, {"digest", st.ImageDigest},
	}
}

func nodeLines(n *v1.Node) [][2]string {
	st, wish := n.Status, ""
	switch {
	case n.Spec.Drain == v1.DrainForce:
		wish = "it is drained by force: all tasks go at once"
	case n.Spec.Drain != "":
		wish = "it is drained: a task goes when its successor on another node is ready"
	case n.Spec.Unschedulable:
		wish = "it is cordoned: it gets no new ones"
	}
	return [][2]string{
		{"state", string(st.State)}, {"tasks", wish}, {"hostname", st.Hostname}, {"platform", st.OS + "/" + st.Arch}, {"kernel", st.Kernel},
		{"version", st.Version}, {"subnet", st.Subnet},
	}
}

func template(t *v1.TaskTemplate) [][2]string {
	var env []string
	for _, e := range t.Env {
		env = append(env, e.Name)
	}
	stop := t.StopSignal
	if t.StopGracePeriod != nil {
		stop = strings.TrimSpace(stop + " within " + t.StopGracePeriod.String())
	}
	root := ""
	if t.ReadOnlyRootFilesystem {
		root = "read-only"
	}
	return [][2]string{
		{"command", strings.Join(append(append([]string{}, t.Command...), t.Args...), " ")},
		{"env", strings.Join(env, ", ")}, {"working dir", t.WorkingDir}, {"user", t.User}, {"hostname", t.Hostname},
		{"limits", amounts(t.Resources.Limits)}, {"reserved", amounts(t.Resources.Reservations)},
		{"restart", restart(&t.Restart)}, {"stop", stop}, {"root", root},
	}
}

func amounts(r v1.ResourceList) string {
	var out []string
	if r.CPU != 0 {
		out = append(out, "cpu "+r.CPU.String())
	}
	if r.Memory != 0 {
		out = append(out, "memory "+v1.Size(r.Memory))
	}
	if r.Pids != 0 {
		out = append(out, "pids "+number(r.Pids))
	}
	return strings.Join(out, ", ")
}

func restart(r *v1.Restart) string {
	text := string(r.Policy)
	if r.Policy != v1.RestartNever && r.Delay != nil && r.MaxDelay != nil {
		text += fmt.Sprintf(", after %s up to %s", r.Delay, r.MaxDelay)
	}
	if r.MaxAttempts > 0 {
		text += fmt.Sprintf(", given up after %d failures in a row", r.MaxAttempts)
	}
	return text
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func clusterLines(s v1.ClusterSpec) [][2]string {
	s.Default()
	return [][2]string{{"id", s.ID}, {"task network", s.TaskNetwork}, {"heartbeat", s.Heartbeat.String()},
		{"silent nodes", fmt.Sprintf("suspect after %s, down after %s", s.SuspectAfter, s.DownAfter)}}
}

// lossWord says what becomes of tasks on a node that is down, where the service says so.
func lossWord(l *v1.NodeLoss) string {
	switch {
	case l == nil:
		return ""
	case l.Action == v1.Keep:
		return "tasks wait for a node that is down"
	}
	return fmt.Sprintf("tasks are replaced when their node is down for %s", l.After)
}
