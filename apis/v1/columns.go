package v1

import (
	"fmt"
	"strings"
	"time"

	"warren.io/warren/apis/meta"
)

var clusterColumns = []meta.Column{
	column("ID", func(c *Cluster, _ time.Time) string { return c.Spec.ID }),
	column("TASK NETWORK", func(c *Cluster, _ time.Time) string { return c.Spec.TaskNetwork }),
	column("AGE", func(c *Cluster, now time.Time) string { return Age(c.Metadata.Created, now) }),
}

var nodeColumns = []meta.Column{
	column("STATE", func(n *Node, _ time.Time) string { return NodeWord(n) }),
	column("ROLE", func(n *Node, _ time.Time) string { return string(n.Status.Role) }),
	column("CPU", func(n *Node, _ time.Time) string { return n.Status.Capacity.CPU.String() }),
	column("MEMORY", func(n *Node, _ time.Time) string { return Size(n.Status.Capacity.Memory) }),
	column("SUBNET", func(n *Node, _ time.Time) string { return n.Status.Subnet }),
	column("VERSION", func(n *Node, _ time.Time) string { return n.Status.Version }),
	column("AGE", func(n *Node, now time.Time) string { return Age(n.Metadata.Created, now) }),
	wide("ADDRESS", func(n *Node, _ time.Time) string { return n.Status.Address }),
	wide("PLATFORM", func(n *Node, _ time.Time) string { return n.Status.OS + "/" + n.Status.Arch }),
	wide("KERNEL", func(n *Node, _ time.Time) string { return n.Status.Kernel }),
}

var serviceColumns = []meta.Column{
	column("MODE", func(s *Service, _ time.Time) string { return string(s.Spec.Mode) }),
	column("READY", func(s *Service, _ time.Time) string {
		return fmt.Sprintf("%d/%d", s.Status.Ready, s.Status.Desired)
	}),
	column("UPDATED", func(s *Service, _ time.Time) string { return fmt.Sprint(s.Status.Updated) }),
	column("IMAGE", func(s *Service, _ time.Time) string { return s.Spec.Image }),
	column("AGE", func(s *Service, now time.Time) string { return Age(s.Metadata.Created, now) }),
	wide("DIGEST", func(s *Service, _ time.Time) string { return shortDigest(s.Status.Image.Digest) }),
}

var taskColumns = []meta.Column{
	column("STATUS", func(t *Task, _ time.Time) string { return TaskWord(t) }),
	column("RESTARTS", func(t *Task, _ time.Time) string { return fmt.Sprint(t.Status.Restarts) }),
	column("NODE", func(t *Task, _ time.Time) string { return t.Spec.Node }),
	column("ADDRESS", func(t *Task, _ time.Time) string { return t.Status.Address }),
	column("AGE", func(t *Task, now time.Time) string { return Age(t.Metadata.Created, now) }),
	wide("IMAGE", func(t *Task, _ time.Time) string { return t.Spec.Image }),
	wide("DIGEST", func(t *Task, _ time.Time) string { return shortDigest(t.Status.ImageDigest) }),
	wide("PID", func(t *Task, _ time.Time) string { return strings.TrimPrefix(fmt.Sprint(t.Status.PID), "0") }),
	wide("MESSAGE", func(t *Task, _ time.Time) string { return TaskWhy(t) }),
}

var eventColumns = []meta.Column{
	column("LAST", func(e *Event, now time.Time) string { return Age(e.Status.Last, now) }),
	column("TYPE", func(e *Event, _ time.Time) string { return string(e.Spec.Type) }),
	column("ABOUT", func(e *Event, _ time.Time) string { return strings.ToLower(e.Spec.About.String()) }),
	column("REASON", func(e *Event, _ time.Time) string { return e.Spec.Reason }),
	column("COUNT", func(e *Event, _ time.Time) string { return fmt.Sprint(e.Status.Count) }),
	column("MESSAGE", func(e *Event, _ time.Time) string { return e.Status.Message }),
}

func column[R any, P meta.Ptr[R]](name string, value func(P, time.Time) string) meta.Column {
	return meta.Column{Name: name, Value: func(o meta.Object, now meta.Clock) string { return value(o.(P), now) }}
}

func wide[R any, P meta.Ptr[R]](name string, value func(P, time.Time) string) meta.Column {
	c := column(name, value)
	c.Wide = true
	return c
}

// TaskWhy says in a sentence why a task does not run, as far as it is known; "" of one that does.
func TaskWhy(t *Task) string {
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

// TaskWord is the one word that says how a task is.
func TaskWord(t *Task) string {
	s := t.Status
	switch {
	case !t.Metadata.Deleted.IsZero():
		return "Stopping"
	case s.Phase == "":
		return string(TaskPending)
	case s.Reason != "" && !s.Ready && s.Phase != TaskPending:
		return s.Reason
	}
	return string(s.Phase)
}

// NodeWord says how a node is, and what people want of it.
func NodeWord(n *Node) string {
	switch word := string(n.Status.State); {
	case n.Spec.Drain != "":
		return word + ",Draining"
	case n.Spec.Unschedulable:
		return word + ",Cordoned"
	default:
		return word
	}
}

// Age writes how long ago a time was, in one or two units: 5s, 3m, 4h20m, 12d.
func Age(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := max(now.Sub(t), 0)
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 3*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// Size writes bytes rounded to three figures in binary units, for tables.
func Size(b meta.Bytes) string {
	n, units := float64(b), []string{"B", "Ki", "Mi", "Gi", "Ti"}
	i := 0
	for n >= 1024 && i < len(units)-1 {
		n, i = n/1024, i+1
	}
	if n >= 100 || i == 0 || n == float64(int64(n)) {
		return fmt.Sprintf("%.0f%s", n, units[i])
	}
	return fmt.Sprintf("%.1f%s", n, units[i])
}

func shortDigest(d string) string {
	if len(d) > 19 {
		return d[:19]
	}
	return d
}
