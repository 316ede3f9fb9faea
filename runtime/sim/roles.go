package sim

import (
	"fmt"
	"hash/fnv"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/controllers/agent/images"
	agentnode "warren.io/warren/controllers/agent/node"
	"warren.io/warren/controllers/agent/tasks"
	"warren.io/warren/controllers/events"
	"warren.io/warren/controllers/nodes"
	"warren.io/warren/controllers/reconciler"
	"warren.io/warren/controllers/scheduler"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/host/fake"
)

// leader runs the leader's controllers.
type leader struct {
	actor
	beats *nodes.Beats
}

// newLeader makes a leader; one that was there before is fenced but goes on for as long as it does not know.
func (w *World) newLeader() {
	l := &leader{}
	l.actor = actor{w: w, name: "leader"}
	l.beats = nodes.NewBeats(w.now, func(n string) {
		l.engine.Poke("nodes", n)
		l.engine.Kick()
		l.touch()
	})
	l.make = func() []control.Controller {
		return []control.Controller{reconciler.Controller{}, scheduler.Controller{}, nodes.Controller{Liveness: l.beats},
			events.Controller{}, control.Collector{Kinds: v1.Kinds}}
	}
	l.boot()
	if old := w.leader; old != nil {
		old.fenced, old.name = true, "deposed leader"
		old.lost = func() { w.remove(&old.actor) }
	}
	w.leader = l
	w.actors = append(w.actors, &l.actor)
}

func (w *World) remove(a *actor) {
	a.gone = true
	for i, x := range w.actors {
		if x == a {
			w.actors = append(w.actors[:i:i], w.actors[i+1:]...)
			return
		}
	}
}

// node is one machine with its agent.
type node struct {
	actor
	machine *fake.Machine
	wakes   time.Time
	// excused counts, by task, the starts that faults account for.
	excused map[string]int
	off     bool
	pace    time.Duration // between two signs of life
}

func (w *World) newNode(name string) {
	n := &node{excused: map[string]int{}, pace: v1.DefaultHeartbeat}
	n.actor = actor{w: w, name: name, visible: tasks.Visible(name)}
	if w.Skew > 0 {
		n.skew = w.upTo(2*w.Skew) - w.Skew
	}
	n.machine = fake.New(func() time.Time { return w.now.Add(n.skew) })
	n.machine.Took = func() time.Duration { return w.upTo(w.StepTime) }
	n.machine.Poke = n.poked
	n.machine.Resolve = w.resolve
	n.machine.Fails = func() bool { return w.living && w.chance(w.StartFails) }
	if w.Capacity != (v1.ResourceList{}) {
		n.machine.About.Capacity = w.Capacity
	}
	n.make = func() []control.Controller {
		return []control.Controller{
			tasks.Controller{Node: name, Cluster: clusterID, Host: &waking{n.machine, n}},
			agentnode.Controller{Node: name, Cluster: clusterID, Machine: n.machine, Network: n.machine, Pace: func(d time.Duration) { n.pace = d }, Role: v1.RoleWorker, Wish: func(v1.Role) {}},
			images.Controller{Cluster: clusterID, Host: n.machine},
		}
	}
	n.boot()
	w.check.heard[name] = w.now
	w.nodes, w.byName[name] = append(w.nodes, n), n
	w.actors = append(w.actors, &n.actor)
	w.timers.set(w.now, n.beat)
}

func (n *node) poked() {
	n.engine.Poke(tasks.Name, "")
	n.engine.Kick()
	n.touch()
	n.wake()
}

// wake sets a timer for the machine's next step.
func (n *node) wake() {
	at, ok := n.machine.Next()
	if at = at.Add(-n.skew); ok && !at.Equal(n.wakes) {
		n.wakes = at
		n.w.timers.set(at, func() {
			n.wakes = time.Time{}
			n.machine.Tick()
			n.wake()
		})
	}
}

// beat is the agent's heartbeat, for ever.
func (n *node) beat() {
	if !n.cut && !n.off {
		n.w.check.heard[n.name] = n.w.now
		n.w.leader.beats.Beat(n.name, n.w.now)
	}
	n.w.timers.set(n.w.now.Add(n.pace), n.beat)
}

// resolve asks the registry: a tag that was moved means another image.
func (w *World) resolve(image string) string {
	return fmt.Sprintf("sha256:%064x", fnv64(fmt.Sprintf("%s %d", image, w.pushes[image])))
}

func fnv64(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

// Service makes a service for tests.
func Service(name, image string, replicas int, change func(*v1.Service)) *v1.Service {
	s := meta.New[v1.Service](name)
	s.Spec.Image, s.Spec.Replicas = image, &replicas
	if change != nil {
		change(s)
	}
	return s
}
