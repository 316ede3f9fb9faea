package warrenctl

import (
	"fmt"
	"strings"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
)

// neighbours say how what an object belongs to stands, or what belongs to it in all.
func neighbours(o meta.Object, related []meta.Object) [][2]string {
	switch x := o.(type) {
	case *v1.Task:
		return [][2]string{{"service", serviceWord(x.Spec.Service, related)}, {"node", nodeWord(x.Spec.Node, related)}}
	case *v1.Cluster:
		return [][2]string{{"nodes", strings.Join(nodeWords(related), ", ")}, {"services", itoa(len(ofKind(v1.ServiceKind, related)))},
			{"tasks", itoa(len(ofKind(v1.TaskKind, related)))}}
	}
	return nil
}

func serviceWord(name string, related []meta.Object) string {
	for _, o := range ofKind(v1.ServiceKind, related) {
		if s := o.(*v1.Service); s.Metadata.Name == name {
			return fmt.Sprintf("%s: %d of %d ready, %d updated", name, s.Status.Ready, s.Status.Desired, s.Status.Updated)
		}
	}
	return name + ": it is gone"
}

func nodeWord(name string, related []meta.Object) string {
	for _, word := range nodeWords(related) {
		if name != "" && strings.HasPrefix(word, name+": ") {
			return word
		}
	}
	if name == "" {
		return "none yet"
	}
	return name + ": it is gone"
}

// nodeWords say for each node its state, and why if that is not Ready.
func nodeWords(related []meta.Object) []string {
	var out []string
	for _, o := range sorted(v1.NodeKind, ofKind(v1.NodeKind, related)) {
		n := o.(*v1.Node)
		word := n.Metadata.Name + ": " + dash(string(n.Status.State))
		if c := n.Status.Conditions.Find(v1.ConditionReady); c.Message != "" && n.Status.State != v1.NodeReady {
			word += ", " + c.Message
		}
		out = append(out, word)
	}
	return out
}

// shares prints what of a node its tasks reserve, and what they may use at most: zero limits none.
func (p *program) shares(n *v1.Node, related []meta.Object) {
	var reserved, limits v1.ResourceList
	for _, o := range indexed(v1.TaskKind, related, meta.IndexEntry{Index: v1.ByNode, Value: n.Metadata.Name}) {
		t := o.(*v1.Task)
		if !t.Status.Phase.Terminal() {
			reserved, limits = plus(reserved, t.Spec.Resources.Reservations), plus(limits, t.Spec.Resources.Limits)
		}
	}
	has := n.Status.Capacity
	t := table{
		{"RESOURCE", "CAPACITY", "RESERVED", "LIMITS"},
		{"cpu", has.CPU.String(), share(reserved.CPU.String(), int64(reserved.CPU), int64(has.CPU)), share(limits.CPU.String(), int64(limits.CPU), int64(has.CPU))},
		{"memory", v1.Size(has.Memory), share(v1.Size(reserved.Memory), int64(reserved.Memory), int64(has.Memory)), share(v1.Size(limits.Memory), int64(limits.Memory), int64(has.Memory))},
		{"pids", number(has.Pids), share(number(reserved.Pids), reserved.Pids, has.Pids), share(number(limits.Pids), limits.Pids, has.Pids)},
	}
	p.printf("\n")
	t.print(p.out)
}

func plus(a, b v1.ResourceList) v1.ResourceList {
	return v1.ResourceList{CPU: a.CPU + b.CPU, Memory: a.Memory + b.Memory, Pids: a.Pids + b.Pids}
}

func share(text string, part, whole int64) string {
	if part == 0 {
		return ""
	}
	return fmt.Sprintf("%s (%s)", text, dash(percent(part, whole)))
}

// tasksOf prints the tasks of a service, or those on a node, found by the index that snapshots use, and why if any of them
// do not run.
func (p *program) tasksOf(o meta.Object, related []meta.Object) {
	index := map[string]string{v1.ServiceKind.Name: v1.ByService, v1.NodeKind.Name: v1.ByNode}[o.Key().Kind]
	tasks := sorted(v1.TaskKind, indexed(v1.TaskKind, related, meta.IndexEntry{Index: index, Value: o.Meta().Name}))
	if len(tasks) == 0 {
		return
	}
	h := head(v1.TaskKind, false)
	h[0] = "TASK"
	t, why := table{h}, false
	for _, x := range tasks {
		reason := v1.TaskWhy(x.(*v1.Task))
		t, why = append(t, append(row(v1.TaskKind, x, "", false, p.now()), reason)), why || reason != ""
	}
	for i := range t {
		if i == 0 && why {
			t[0] = append(t[0], "WHY")
		} else if i > 0 && !why {
			t[i] = t[i][:len(t[i])-1]
		}
	}
	p.printf("\n")
	t.print(p.out)
}

// eventsOf prints the last events about an object; for a service also those about its tasks, gone ones too.
func (p *program) eventsOf(o meta.Object, related []meta.Object) {
	wants := concerned(o.Key(), ofKind(v1.ServiceKind, related))
	var events []meta.Object
	for _, e := range sorted(v1.EventKind, ofKind(v1.EventKind, related)) {
		if wants(e) {
			events = append(events, e)
		}
	}
	if len(events) == 0 {
		return
	}
	t := table{{"EVENT", "LAST", "COUNT", "ABOUT", "MESSAGE"}}
	for _, x := range events[max(0, len(events)-lastEvents):] {
		e := x.(*v1.Event)
		t = append(t, []string{e.Spec.Reason, v1.Age(e.Status.Last, p.now()), itoa(e.Status.Count), lower(e.Spec.About.Kind, e.Spec.About.Name), e.Status.Message})
	}
	p.printf("\n")
	t.print(p.out)
}
