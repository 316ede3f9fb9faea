package why

import (
	"strings"

	v1 "warren.io/warren/apis/v1"
)

func (s *story) node(n *v1.Node) {
	tasks := s.tasks(v1.ByNode, n.Metadata.Name)
	ill := notReady(tasks)
	switch here := s.Node == n.Metadata.Name; {
	case here && len(s.Troubles) > 0:
		s.cause("is in trouble: %s", s.Troubles[0])
		s.More = append(s.More, s.Troubles[1:]...)
	case n.Status.State == "":
		s.cause("has not been judged by the leader yet")
	case n.Status.State != v1.NodeReady:
		s.cause("is %s: %s", strings.ToLower(string(n.Status.State)), readyMessage(n))
		s.try("systemctl status warren   # on the node")
	case n.Spec.Drain != "" && len(tasks) > 0:
		s.cause("is drained: %s still run there", count(len(tasks), "task"))
		for _, t := range tasks {
			s.say(t.Key())
		}
		s.try("warrenctl node drain %s   # shows what each waits for", n.Metadata.Name)
	case n.Spec.Drain != "":
		s.cause("is drained: nothing runs there, and it gets no new tasks")
		s.try("warrenctl node uncordon %s", n.Metadata.Name)
	case n.Spec.Unschedulable:
		s.cause("is cordoned: it gets no new tasks; %s run there", count(len(tasks), "task"))
		s.try("warrenctl node uncordon %s", n.Metadata.Name)
	case len(ill) > 0:
		s.cause("is ready, but %d of its %s do not run: %s %s", len(ill), count(len(tasks), "task"), ill[0].Metadata.Name, s.clause(ill[0]))
		s.next(ill[0])
	default:
		s.cause("is ready: %s, and all of its %s run", readyMessage(n), count(len(tasks), "task"))
	}
	for _, t := range ill[min(len(ill), 1):min(len(ill), maxIll)] {
		s.more("%s %s", t.Metadata.Name, s.clause(t))
	}
	s.events(false)
}
